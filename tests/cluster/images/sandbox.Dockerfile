# What holds the namespaces of a pod.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
USER 65535:65535
ENTRYPOINT ["sleep", "infinity"]
