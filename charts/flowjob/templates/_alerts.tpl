{{/* Alerts, by metrics of the operator. `instance` differs between replicas: sums and maxima are over all of them. */}}
{{- define "flowjob.alerts" -}}
{{- $labels := mergeOverwrite (dict "severity" "warning") .Values.prometheusRule.alertLabels -}}
- alert: FlowJobCheckpointTooOld
  # Jobs that are suspended or have ended have no such series.
  expr: 'max by (namespace, name) (flowjob_operator_checkpoint_age_seconds) > {{ .Values.prometheusRule.checkpointAgeSeconds }}'
  for: {{ .Values.prometheusRule.checkpointAgeFor }}
  labels:
    {{- toYaml $labels | nindent 4 }}
  annotations:
    summary: 'The newest checkpoint of FlowJob {{ `{{ $labels.namespace }}/{{ $labels.name }}` }} is {{ `{{ $value | humanizeDuration }}` }} old'
    description: 'After a failure the job would go back as far. `kubectl describe flowjob` says why checkpoints fail.'
- alert: FlowJobFailed
  expr: 'max(flowjob_operator_flowjobs{phase="Failed"}) > 0'
  for: {{ .Values.prometheusRule.for }}
  labels:
    {{- toYaml $labels | nindent 4 }}
  annotations:
    summary: '{{ `{{ $value }}` }} FlowJobs have failed'
    description: 'Their status.diagnosis says why. `kubectl get flowjobs -A` shows which ones.'
- alert: FlowJobOperatorAway
  expr: '(max(flowjob_operator_leader) or vector(0)) < 1'
  for: {{ .Values.prometheusRule.for }}
  labels:
    {{- toYaml $labels | nindent 4 }}
  annotations:
    summary: 'No operator of flowjob looks after FlowJobs'
    description: 'Jobs go on, but changes to them wait. `kubectl -n {{ .Release.Namespace }} get pods,leases` shows who should.'
- alert: FlowJobOperatorFails
  expr: 'sum by (kind, cause) (rate(flowjob_operator_reconcile_errors_total[5m])) > 0'
  for: {{ .Values.prometheusRule.for }}
  labels:
    {{- toYaml $labels | nindent 4 }}
  annotations:
    summary: 'The operator of flowjob fails at objects of kind {{ `{{ $labels.kind }}` }} by {{ `{{ $labels.cause }}` }}'
    description: 'Its log names them; `kubectl -n {{ .Release.Namespace }} logs deployment/{{ include "flowjob.fullname" . }}`.'
- alert: FlowJobNamespaceDenied
  expr: 'max(flowjob_operator_denied_namespaces) > 0'
  for: {{ .Values.prometheusRule.for }}
  labels:
    {{- toYaml $labels | nindent 4 }}
  annotations:
    summary: 'The operator of flowjob lacks permissions in {{ `{{ $value }}` }} namespaces'
    description: 'FlowJobs there are not looked after. docs/operator.md lists what is needed.'
{{- end }}
