{{/* Alerts, by metrics of JobManagers, which have the labels of the PodMonitor, and of the service. Of two JobManagers
     only one tells of the job. */}}
{{- define "flowjob.alertsOfJobs" -}}
{{- $labels := mergeOverwrite (dict "severity" "warning") .Values.prometheusRule.alertLabels -}}
{{- $name := "{{ $labels.namespace }}/{{ $labels.flowjob }}" -}}
- alert: FlowJobCheckpointsFail
  expr: 'max by (namespace, flowjob) (flowjob_checkpoints_failed_in_a_row) >= 3'
  for: 1m
  labels:
    {{- toYaml $labels | nindent 4 }}
  annotations:
    summary: '{{ `{{ $value }}` }} checkpoints of FlowJob {{ $name }} have failed, one after the other'
    description: '`flowjob status` and the page of checkpoints say why.'
- alert: FlowJobLagGrows
  expr: 'max by (namespace, flowjob) (flowjob_vertex_watermark_lag_seconds) > {{ .Values.prometheusRule.lagSeconds }} and max by (namespace, flowjob) (deriv(flowjob_vertex_watermark_lag_seconds[15m])) > 0'
  for: {{ .Values.prometheusRule.for }}
  labels:
    {{- toYaml $labels | nindent 4 }}
  annotations:
    summary: 'Event time of FlowJob {{ $name }} is {{ `{{ $value | humanizeDuration }}` }} behind the clock, and falls back further'
    description: 'It gets more rows than it can deal with, or an input gives none. The graph shows which vertex is busy, and which input holds time back.'
- alert: FlowJobRestartsOften
  expr: 'max by (namespace, flowjob) (increase(flowjob_restarts_total[30m])) >= {{ .Values.prometheusRule.restarts }}'
  labels:
    {{- toYaml $labels | nindent 4 }}
  annotations:
    summary: 'FlowJob {{ $name }} has restarted {{ `{{ $value | humanize }}` }} times in half an hour'
    description: 'Its exceptions say why.'
- alert: FlowJobBackpressured
  expr: 'max by (namespace, flowjob, vertex) (avg_over_time(flowjob_vertex_most_backpressured_share[10m])) > {{ .Values.prometheusRule.backpressureShare }}'
  for: {{ .Values.prometheusRule.for }}
  labels:
    {{- toYaml $labels | nindent 4 }}
  annotations:
    summary: 'A subtask of {{ `{{ $labels.vertex }}` }} of FlowJob {{ $name }} is held back for {{ `{{ $value | humanizePercentage }}` }} of its time'
    description: 'The first busy vertex behind it is the bottleneck: give the job a larger parallelism, or look for skew.'
- alert: FlowJobServiceFails
  expr: 'sum by (route, status) (rate(flowjob_api_requests_total{status=~"5.."}[5m])) > 0'
  for: {{ .Values.prometheusRule.for }}
  labels:
    {{- toYaml $labels | nindent 4 }}
  annotations:
    summary: 'The service of flowjob answers {{ `{{ $labels.route }}` }} with {{ `{{ $labels.status }}` }}'
    description: 'Its log says why.'
{{- end }}
