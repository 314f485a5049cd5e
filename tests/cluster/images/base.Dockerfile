FROM scratch
ARG SYSTEM
# It is an archive, which is unpacked.
# hadolint ignore=DL3020
ADD ${SYSTEM} /
