{{/* Whether all namespaces are watched: only where that is said, as it takes rights to all Secrets. */}}
{{- define "keycloak-operator.everywhere" -}}
{{- if has "*" .Values.watchNamespaces }}true{{ end -}}
{{- end -}}

{{/* The namespaces that are watched, as a JSON list. */}}
{{- define "keycloak-operator.namespaces" -}}
{{- .Values.watchNamespaces | default (list .Release.Namespace) | toJson -}}
{{- end -}}

{{/* What the operator does to its own resources and their Secrets; it never lists Secrets. */}}
{{- define "keycloak-operator.rules" -}}
# Kopf watches them, and patches its finalizer and its annotations.
- apiGroups: [keycloak.vriesdemichael.github.io]
  resources: [keycloakconnections, keycloakrealms, keycloakclients]
  verbs: [get, list, watch, patch]
- apiGroups: [keycloak.vriesdemichael.github.io]
  resources: [keycloakconnections/status, keycloakrealms/status, keycloakclients/status]
  verbs: [patch]
# Applying the credentials of a client is a patch that may create; those of a name that is no longer declared go.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* What Kopf follows to know what there is to watch. */}}
{{- define "keycloak-operator.observerRules" -}}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [list, watch]
{{- if not (include "keycloak-operator.everywhere" .) }}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{- end }}
{{- end -}}

{{- define "keycloak-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "keycloak-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
