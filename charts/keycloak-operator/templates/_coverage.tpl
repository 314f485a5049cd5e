{{- define "keycloak-operator.coverageDirectory" -}}
/var/lib/coverage-hooks
{{- end -}}

{{- define "keycloak-operator.coverageClaim" -}}
{{- $own := include "keycloak-operator.fitted" (printf "%s-coverage" (include "keycloak-operator.fullname" .)) -}}
{{- .Values.coverage.persistence.existingClaim | default $own -}}
{{- end -}}

{{- define "keycloak-operator.coverageEnvironment" -}}
- name: COVERAGE_HOOKS_ENABLED
  value: "true"
- name: COVERAGE_HOOKS_DIR
  value: {{ include "keycloak-operator.coverageDirectory" . }}
- name: COVERAGE_HOOKS_INTERVAL
  value: {{ .Values.coverage.interval | quote }}
- name: COVERAGE_HOOKS_EXIT_TIMEOUT
  value: {{ .Values.coverage.exitTimeout | quote }}
- name: COVERAGE_HOOKS_RUN
  value: {{ .Values.coverage.run | quote }}
- name: COVERAGE_HOOKS_CONTEXT
  value: {{ .Values.coverage.context | quote }}
{{- if .Values.coverage.children }}
- name: COVERAGE_HOOKS_CHILDREN
  value: "1"
{{- end }}
{{- range $name, $path := dict "NAME" "metadata.name" "NAMESPACE" "metadata.namespace" "NODE" "spec.nodeName" "UID" "metadata.uid" }}
- name: COVERAGE_HOOKS_POD_{{ $name }}
  valueFrom:
    fieldRef:
      fieldPath: {{ $path }}
{{- end }}
- name: COVERAGE_HOOKS_POD_CONTAINER
  value: operator
{{- end -}}

{{/* The security context of the pod. A volume belongs to root until a group is named that it is given to. */}}
{{- define "keycloak-operator.podSecurityContext" -}}
{{- $context := deepCopy .Values.podSecurityContext -}}
{{- if and .Values.coverage.enabled (or $context.fsGroup $context.runAsGroup) -}}
{{- $context = merge $context (dict "fsGroup" $context.runAsGroup "fsGroupChangePolicy" "OnRootMismatch") -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}
