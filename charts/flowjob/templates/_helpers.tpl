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

{{/* Of objects that the whole cluster has: releases of one name in two namespaces must not meet. Two that meet all the
     same, as b-flowjob in a and flowjob in a-b do, Helm refuses: names that are in use cannot change any more. */}}
{{- define "flowjob.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "flowjob.fullname" .) }}
{{- end }}

{{/* Of the installation, as it stands in FlowJobs and Leases: another one would not look after those jobs any more. It is
     the value of a label, which has 63 characters. */}}
{{- define "flowjob.owner" -}}
{{- $whole := include "flowjob.clusterName" . -}}
{{- if gt (len $whole) 63 -}}
{{- printf "%s-%s" (trunc 52 $whole) (sha256sum $whole | trunc 8) -}}
{{- else -}}
{{- $whole -}}
{{- end -}}
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

{{/* The name of its port, which is its scheme. */}}
{{- define "flowjob.apiPort" -}}
{{- ternary "https" "http" (not (empty .Values.api.tlsSecret)) }}
{{- end }}

{{- define "flowjob.apiServiceAccount" -}}
{{- if .Values.api.serviceAccount.create }}
{{- default (printf "%s-api" (include "flowjob.fullname" .)) .Values.api.serviceAccount.name }}
{{- else if .Values.api.serviceAccount.name }}
{{- .Values.api.serviceAccount.name }}
{{- else }}
{{- fail "api.serviceAccount.create is false: say in api.serviceAccount.name which one the REST service runs as" }}
{{- end }}
{{- end }}

{{/* Where pods may run, and how their image is pulled: alike for the operator, the REST service and the hook. */}}
{{- define "flowjob.placing" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Called with selector labels, as text: pods with them go to different nodes, if possible. */}}
{{- define "flowjob.apart" -}}
preferredDuringSchedulingIgnoredDuringExecution:
  - weight: 100
    podAffinityTerm:
      topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          {{- . | nindent 10 }}
{{- end }}

{{/* The operator's nodes suit the service, too; the operator's neighbours are not the service's. */}}
{{- define "flowjob.apiAffinity" -}}
{{- $affinity := .Values.api.affinity -}}
{{- if not $affinity -}}
{{- $affinity = pick .Values.affinity "nodeAffinity" -}}
{{- if gt (int .Values.api.replicas) 1 -}}
{{- $affinity = set $affinity "podAntiAffinity" (include "flowjob.apart" (include "flowjob.apiSelectorLabels" .) | fromYaml) -}}
{{- end -}}
{{- end -}}
{{- with $affinity -}}
{{- toYaml . -}}
{{- end -}}
{{- end }}

{{- define "flowjob.apiSpread" -}}
{{- $constraints := .Values.api.topologySpreadConstraints -}}
{{- if not $constraints -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "flowjob.apiSelectorLabels" . | fromYaml)) -}}
{{- range .Values.topologySpreadConstraints -}}
{{- $constraints = append $constraints (mergeOverwrite (omit . "labelSelector") $own) -}}
{{- end -}}
{{- end -}}
{{- with $constraints -}}
{{- toYaml . -}}
{{- end -}}
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

{{/* Of the pods of jobs, where this release makes it. */}}
{{- define "flowjob.jobsServiceAccount" -}}
{{- default "flowjob-job" .Values.jobs.serviceAccount.name }}
{{- end }}

{{/* Rules of files/rules.yaml that belong to a scope, called with (list $ scope). */}}
{{- define "flowjob.rules" -}}
{{- $root := index . 0 -}}
{{- $scopes := $root.Files.Get "files/rules.yaml" | fromYaml -}}
{{- $rules := list -}}
{{- range index $scopes (index . 1) -}}
{{- /* Without the REST service there is no Secret of it to keep. */ -}}
{{- if or $root.Values.api.enabled (ne (toJson .resourceNames) "[\"flowjob-service\"]") -}}
{{- $rules = append $rules . -}}
{{- end -}}
{{- end -}}
{{- toYaml $rules }}
{{- end }}

{{/* The operator's configuration, by the names of its settings. */}}
{{- define "flowjob.config" -}}
{{- $defaults := deepCopy .Values.defaults -}}
{{- $account := .Values.jobs.serviceAccount -}}
{{- if not $account.create -}}
{{- with $account.name -}}
{{- $defaults = merge $defaults (dict "serviceAccountName" .) -}}
{{- end -}}
{{- else if and .Values.watchNamespaces (not $account.namespaces) -}}
{{- $defaults = merge $defaults (dict "serviceAccountName" (include "flowjob.jobsServiceAccount" .)) -}}
{{- end -}}
owner: {{ include "flowjob.owner" . }}
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
