{{/* Where the Deployment says which definitions its release has left alone. */}}
{{- define "keycloak-operator.leftAnnotation" -}}
keycloak.vriesdemichael.github.io/left-definitions
{{- end -}}

{{/*
The names of the definitions that are no part of this release, as a JSON list: all of them where that is wanted, else
those that are there and belong to no release, as after `kubectl apply`. Helm would refuse to install beside those.

In an upgrade, only what was left before is left again. Whatever the release had and no longer renders is deleted, with
all resources of its kind; and `kubectl replace` takes off what says that it has it.
*/}}
{{- define "keycloak-operator.leftDefinitions" -}}
{{- $left := list -}}
{{- $deployment := lookup "apps/v1" "Deployment" .Release.Namespace (include "keycloak-operator.fullname" .) | default dict -}}
{{- $before := dig "metadata" "annotations" (include "keycloak-operator.leftAnnotation" .) "" $deployment | splitList "," -}}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" -}}
{{- $name := ($.Files.Get $path | fromYaml).metadata.name -}}
{{- $found := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $name -}}
{{- $ownerless := and $found (not (dig "metadata" "annotations" "meta.helm.sh/release-name" "" ($found | default dict))) -}}
{{- if or (not $.Values.crds.install) (and $ownerless (or $.Release.IsInstall (has $name $before))) -}}
{{- $left = append $left $name -}}
{{- end -}}
{{- end -}}
{{- toJson $left -}}
{{- end -}}
