{{/* Names, labels, images and the rules of roles, which several templates need. */}}

{{- define "flowjob.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* Of objects in the release's namespace. Short enough for what is put behind it. */}}
{{- define "flowjob.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := include "flowjob.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Of objects that the whole cluster has: releases of one name in two namespaces must not meet. */}}
{{- define "flowjob.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "flowjob.fullname" .) }}
{{- end }}

{{- define "flowjob.selectorLabels" -}}
app.kubernetes.io/name: flowjob-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of the REST service's pods, which must not be taken for the operator's. */}}
{{- define "flowjob.apiSelectorLabels" -}}
app.kubernetes.io/name: flowjob-service
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Called with (list $ (dict …)), as flowjob.about. */}}
{{- define "flowjob.apiAbout" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 -}}
labels:
  {{- mergeOverwrite (include "flowjob.labels" $root | fromYaml) (include "flowjob.apiSelectorLabels" $root | fromYaml) (dict "app.kubernetes.io/component" "service") | toYaml | nindent 2 }}
{{- with mergeOverwrite (deepCopy $root.Values.commonAnnotations) $own }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "flowjob.apiServiceAccount" -}}
{{- default (printf "%s-api" (include "flowjob.fullname" .)) .Values.api.serviceAccount.name }}
{{- end }}

{{- define "flowjob.labels" -}}
{{ include "flowjob.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: flowjob
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Called with (list $ (dict …)): metadata's labels and annotations, the common ones below the object's own. */}}
{{- define "flowjob.about" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 -}}
labels:
  {{- include "flowjob.labels" $root | nindent 2 }}
{{- with mergeOverwrite (deepCopy $root.Values.commonAnnotations) $own }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Called with (list $ image): registry/repository:tag, or by digest. */}}
{{- define "flowjob.image" -}}
{{- $root := index . 0 }}
{{- $image := index . 1 }}
{{- if $image.registry }}{{ trimSuffix "/" $image.registry }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default $root.Chart.AppVersion $image.tag }}{{ end }}
{{- end }}

{{- define "flowjob.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "flowjob.fullname" .) .Values.serviceAccount.name }}
{{- else if .Values.serviceAccount.name }}
{{- .Values.serviceAccount.name }}
{{- else }}
{{- fail "serviceAccount.create is false: say in serviceAccount.name which one the operator runs as" }}
{{- end }}
{{- end }}

{{/* Rules of files/rules.yaml that belong to a scope, called with (list $ scope). */}}
{{- define "flowjob.rules" -}}
{{- $scopes := (index . 0).Files.Get "files/rules.yaml" | fromYaml -}}
{{- index $scopes (index . 1) | toYaml }}
{{- end }}

{{/* The operator's configuration, by the names of its settings. */}}
{{- define "flowjob.config" -}}
{{- $defaults := deepCopy .Values.defaults -}}
{{- if and .Values.watchNamespaces .Values.jobs.serviceAccount.create (not .Values.jobs.serviceAccount.namespaces) -}}
{{- $defaults = merge $defaults (dict "serviceAccountName" .Values.jobs.serviceAccount.name) -}}
{{- end -}}
owner: {{ include "flowjob.clusterName" . }}
lease: {{ include "flowjob.fullname" . }}
namespaces: {{ toJson .Values.watchNamespaces }}
labelSelector: {{ .Values.labelSelector | quote }}
image: {{ include "flowjob.image" (list . .Values.jobs.image) | quote }}
defaults: {{ toJson $defaults }}
platform:
  networkPolicies: {{ .Values.jobs.networkPolicy.create }}
  operatorLabels: {{ include "flowjob.selectorLabels" . | fromYaml | toJson }}
  {{- if .Values.api.enabled }}
  serviceLabels: {{ include "flowjob.apiSelectorLabels" . | fromYaml | toJson }}
  {{- end }}
  {{- with .Values.jobs.networkPolicy.prometheus }}
  prometheus: {{ toJson . }}
  {{- end }}
  {{- if .Values.jobs.networkPolicy.restrictEgress }}
  egress: {{ toJson .Values.jobs.networkPolicy.egress }}
  {{- end }}
service: {{ .Values.api.enabled }}
port: 8080
concurrency: {{ .Values.operator.concurrency }}
resync: {{ .Values.operator.resync }}
logLevel: {{ .Values.operator.logLevel }}
logFormat: {{ .Values.operator.logFormat }}
{{- range $name, $value := .Values.operator.settings }}
{{ $name }}: {{ toJson $value }}
{{- end }}
{{- end }}
