{{/* What the operator does to its own resources and their Secrets; it never lists Secrets. */}}
{{- define "keycloak-operator.rules" -}}
# Kopf watches them, and patches its finalizer and its annotations.
- apiGroups: [keycloak.vriesdemichael.github.io]
  resources: [keycloakconnections, keycloakrealms, keycloakclients]
  verbs: [get, list, watch, patch]
- apiGroups: [keycloak.vriesdemichael.github.io]
  resources: [keycloakconnections/status, keycloakrealms/status, keycloakclients/status]
  verbs: [patch]
# Applying the credentials of a client is a patch that may create.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* What Kopf follows to know what there is to watch. */}}
{{- define "keycloak-operator.observerRules" -}}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [list, watch]
{{- if .Values.watchNamespaces }}
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
