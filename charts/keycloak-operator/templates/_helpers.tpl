{{/* A name of at most 63 characters; what is cut off is replaced by a digest, so that names stay different. */}}
{{- define "keycloak-operator.fitted" -}}
{{- if gt (len .) 63 -}}
{{- printf "%s-%s" (. | trunc 54 | trimSuffix "-") (. | sha256sum | trunc 8) -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{- define "keycloak-operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name -}}
{{- end -}}

{{- define "keycloak-operator.fullname" -}}
{{- $name := .Values.fullnameOverride | default .Release.Name -}}
{{- if not (or .Values.fullnameOverride (contains (include "keycloak-operator.name" .) $name)) -}}
{{- $name = printf "%s-%s" $name (include "keycloak-operator.name" .) -}}
{{- end -}}
{{- include "keycloak-operator.fitted" $name -}}
{{- end -}}

{{/* The name of what lies outside of the release's namespace, where releases of the same name can meet. */}}
{{- define "keycloak-operator.outside" -}}
{{- include "keycloak-operator.fitted" (printf "%s-%s" .Release.Namespace (include "keycloak-operator.fullname" .)) -}}
{{- end -}}

{{- define "keycloak-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "keycloak-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "keycloak-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{ include "keycloak-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* The name of the Lease by which replicas take turns; none where there is but one. */}}
{{- define "keycloak-operator.lease" -}}
{{- if gt (int .Values.replicas) 1 }}{{ include "keycloak-operator.fullname" . }}{{ end -}}
{{- end -}}

{{- define "keycloak-operator.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "keycloak-operator.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* A digest says which image it is by itself, and that of one image is never that of the other. */}}
{{- define "keycloak-operator.image" -}}
{{- $image := .Values.image -}}
{{- $tag := $image.tag | default .Chart.AppVersion -}}
{{- if .Values.coverage.enabled -}}
{{- $image = .Values.coverage.image -}}
{{- $tag = $image.tag | default (printf "%s-coverage" $tag) -}}
{{- end -}}
{{- $repository := $image.repository | default .Values.image.repository -}}
{{- with $image.digest }}{{ printf "%s@%s" $repository . }}{{ else }}{{ printf "%s:%s" $repository $tag }}{{ end -}}
{{- end -}}
