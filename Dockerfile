ARG BASE_IMAGE=python:3.14-slim

FROM ${BASE_IMAGE} AS packages
# Where there is no package index: a folder of wheels that the build mounts, as --volume of buildah and podman does.
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
COPY requirements-operator.lock /
RUN python3 -m venv /opt/pip \
 && python3 -m venv --without-pip /opt/operator \
 && /opt/pip/bin/pip --python /opt/operator install --disable-pip-version-check --no-cache-dir --no-deps \
      --only-binary=:all: --require-hashes --requirement /requirements-operator.lock

FROM ${BASE_IMAGE}
COPY --from=packages /opt/operator /opt/operator
WORKDIR /app
COPY LICENSE ./
COPY coverage_hooks coverage_hooks
COPY keycloak_operator keycloak_operator
# The file system may be read-only, so this is the last chance to compile; and whoever runs it owns no file here.
RUN chmod -R a+rX . && /opt/operator/bin/python -m compileall -q --invalidation-mode unchecked-hash .
# USER: nobody has to look the number up to know what to call it.
ENV PATH=/opt/operator/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 USER=keycloak-operator
USER 65532:65532
ENTRYPOINT ["python", "-m", "keycloak_operator"]
ARG REVISION=""
ARG VERSION=""
LABEL org.opencontainers.image.title="keycloak-operator" \
      org.opencontainers.image.description="A Kubernetes operator for Keycloak, its realms and its clients" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
