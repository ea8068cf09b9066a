{{/* Expressions of the admission policies. FlowJobs and pods differ in where things are; what is allowed is said once.
     `first` and `second` are specs of pods, `own…` what the object names itself. Kubernetes 1.30 has no flatten(): hence
     the nesting. */}}

{{- define "flowjob.policy.flowjobs" -}}
- name: first
  expression: object.spec.?jobManager.?podTemplate.?spec.orValue(dyn({}))
- name: second
  expression: object.spec.?taskManager.?podTemplate.?spec.orValue(dyn({}))
- name: ownImages
  expression: "has(object.spec.image) ? [object.spec.image] : []"
- name: ownAccounts
  expression: "has(object.spec.serviceAccountName) ? [object.spec.serviceAccountName] : []"
- name: ownSecrets
  expression: >-
    has(object.spec.checkpoints) && has(object.spec.checkpoints.secretRef) ? [object.spec.checkpoints.secretRef.name] : []
- name: given
  expression: "''"
{{- end }}

{{- define "flowjob.policy.pods" -}}
- name: first
  expression: dyn(object.spec)
- name: second
  expression: dyn({})
- name: ownImages
  expression: "[]"
- name: ownAccounts
  expression: "[]"
- name: ownSecrets
  expression: "[]"
# What the operator itself makes and mounts.
- name: given
  expression: object.metadata.?labels[?'flowjob.dev/job'].orValue('') + '-identity'
{{- end }}

{{- define "flowjob.policy.variables" -}}
- name: pods
  expression: "[variables.first, variables.second]"
- name: containers
  expression: >-
    variables.first.?containers.orValue([]) + variables.first.?initContainers.orValue([])
    + variables.first.?ephemeralContainers.orValue([])
    + variables.second.?containers.orValue([]) + variables.second.?initContainers.orValue([])
    + variables.second.?ephemeralContainers.orValue([])
- name: volumes
  expression: variables.first.?volumes.orValue([]) + variables.second.?volumes.orValue([])
- name: images
  expression: >-
    variables.ownImages + variables.containers.filter(c, has(c.image)).map(c, c.image)
    + variables.volumes.filter(v, has(v.image) && has(v.image.reference)).map(v, v.image.reference)
- name: accounts
  expression: >-
    variables.ownAccounts
    + variables.pods.filter(pod, has(pod.serviceAccountName)).map(pod, pod.serviceAccountName)
    + variables.pods.filter(pod, has(pod.serviceAccount)).map(pod, pod.serviceAccount)
{{- end }}

{{/* Called with (list $ expression): whether it is a Secret that jobs may use. */}}
{{- define "flowjob.policy.secret" -}}
({{ index . 1 }} == variables.given || {{ toJson (index . 0).Values.admissionPolicy.secrets }}.exists(allowed, allowed.endsWith('*')
? {{ index . 1 }}.startsWith(allowed.substring(0, allowed.size() - 1)) : {{ index . 1 }} == allowed))
{{- end }}

{{- define "flowjob.policy.secrets" -}}
variables.ownSecrets.all(s, {{ include "flowjob.policy.secret" (list . "s") }})
&& variables.volumes.all(v,
(!has(v.secret) || !has(v.secret.secretName) || {{ include "flowjob.policy.secret" (list . "v.secret.secretName") }})
&& (!has(v.csi) || !has(v.csi.nodePublishSecretRef) || {{ include "flowjob.policy.secret" (list . "v.csi.nodePublishSecretRef.name") }})
&& (!has(v.projected) || v.projected.?sources.orValue([]).all(s, !has(s.secret) || !has(s.secret.name)
|| {{ include "flowjob.policy.secret" (list . "s.secret.name") }})))
&& variables.containers.all(c,
c.?envFrom.orValue([]).all(s, !has(s.secretRef) || !has(s.secretRef.name) || {{ include "flowjob.policy.secret" (list . "s.secretRef.name") }})
&& c.?env.orValue([]).all(e, !has(e.valueFrom) || !has(e.valueFrom.secretKeyRef) || !has(e.valueFrom.secretKeyRef.name)
|| {{ include "flowjob.policy.secret" (list . "e.valueFrom.secretKeyRef.name") }}))
{{- end }}

{{- define "flowjob.policy.validations" -}}
{{- $root := . -}}
{{- with .Values.admissionPolicy -}}
{{- if .images -}}
- expression: >-
    variables.images.all(image, {{ toJson .images }}.exists(allowed, allowed.endsWith('/') ? image.startsWith(allowed)
    : image == allowed || image.startsWith(allowed + ':') || image.startsWith(allowed + '@')))
  message: {{ printf "an image is used that is not allowed to jobs here; allowed are %s" (join ", " .images) | quote }}
  reason: Forbidden
{{- end }}
{{- if .serviceAccounts }}
- expression: variables.accounts.all(account, account in {{ toJson .serviceAccounts }})
  message: {{ printf "a ServiceAccount is used that is not allowed to jobs here; allowed are %s" (join ", " .serviceAccounts) | quote }}
  reason: Forbidden
{{- end }}
{{- if .secrets }}
- expression: >-
    {{- include "flowjob.policy.secrets" $root | nindent 4 }}
  message: {{ printf "a Secret is used that is not allowed to jobs here; allowed are %s" (join ", " .secrets) | quote }}
  reason: Forbidden
{{- end }}
{{- if not .hostPath }}
- expression: "!variables.volumes.exists(v, has(v.hostPath))"
  message: jobs may not mount directories of the node (hostPath)
  reason: Forbidden
{{- end }}
{{- if not .privileged }}
- expression: >-
    !variables.containers.exists(c, c.?securityContext.privileged.orValue(false)
    || c.?securityContext.allowPrivilegeEscalation.orValue(false)
    || c.?securityContext.procMount.orValue('Default') != 'Default'
    || c.?securityContext.capabilities.add.orValue([]).size() > 0)
  message: containers of jobs may not be privileged, gain privileges, or add capabilities
  reason: Forbidden
- expression: >-
    !variables.pods.exists(pod, pod.?hostNetwork.orValue(false) || pod.?hostPID.orValue(false) || pod.?hostIPC.orValue(false))
    && !variables.containers.exists(c, c.?ports.orValue([]).exists(port, port.?hostPort.orValue(0) != 0))
  message: pods of jobs may not use the node's network, processes, memory, or ports
  reason: Forbidden
{{- end }}
{{- if not (or .images .serviceAccounts .secrets (not .hostPath) (not .privileged)) }}
{{- fail "admissionPolicy.create is true, and everything is allowed: say what is not, or leave the policy out" }}
{{- end }}
{{- end }}
{{- end }}
