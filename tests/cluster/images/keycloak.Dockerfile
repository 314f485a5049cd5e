# A Keycloak that is built already, with its database in a file.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY . /opt/keycloak
RUN mkdir -p /opt/keycloak/data && chown -R 1000:0 /opt/keycloak/data && chmod -R a+rX,g=u /opt/keycloak
USER 1000:0
ENV KC_HTTP_ENABLED=true KC_HOSTNAME_STRICT=false KC_CACHE=local
ENTRYPOINT ["/opt/keycloak/bin/kc.sh"]
CMD ["start", "--optimized"]
