{{/*
The Secrets of a worker deployment, from {root, worker}. Every role checks the whole configuration,
and which targets there are decides about its routes: so a role that may not use a secret is told
that there is one, and not which.
*/}}
{{- define "synap-webhook-receiver.workerSecrets" -}}
{{- $values := .root.Values }}
{{- with $values.targets.pagerduty }}
{{- if and .existingSecret $.worker.tells }}
{{ include "synap-webhook-receiver.secretEnv" (dict "variable" "PAGERDUTY_ROUTING_KEY" "secret" .existingSecret "key" .secretKey) }}
{{- else if .existingSecret }}
{{ include "synap-webhook-receiver.standIn" "PAGERDUTY_ROUTING_KEY" }}
{{- end }}
{{- end }}
{{- with $values.targets.slack }}
{{- if and .existingSecret $.worker.tells }}
{{ include "synap-webhook-receiver.secretEnv" (dict "variable" "SLACK_WEBHOOK_URL" "secret" .existingSecret "key" .secretKey) }}
{{- else if .existingSecret }}
{{ include "synap-webhook-receiver.standIn" "SLACK_WEBHOOK_URL" }}
{{- end }}
{{- end }}
{{- with $values.synapApi }}
{{- if and .existingSecret $.worker.asks }}
{{ include "synap-webhook-receiver.secretEnv" (dict "variable" "SYNAP_API_KEY" "secret" .existingSecret "key" .secretKey) }}
{{- else if .existingSecret }}
{{ include "synap-webhook-receiver.standIn" "SYNAP_API_KEY" }}
{{- end }}
{{- if .url }}
- name: SYNAP_API_URL
  value: {{ .url | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* What stands for a secret that is set but not given; as workers/supervisor.py has it. */}}
{{- define "synap-webhook-receiver.standIn" -}}
- name: {{ . }}
  value: {{ eq . "SLACK_WEBHOOK_URL" | ternary "https://withheld.invalid/" "withheld" }}
{{- end }}

{{/* Stand-ins for every secret that is set: checking a configuration needs no more. */}}
{{- define "synap-webhook-receiver.standIns" -}}
{{- if .Values.targets.pagerduty.existingSecret }}
{{ include "synap-webhook-receiver.standIn" "PAGERDUTY_ROUTING_KEY" }}
{{- end }}
{{- if .Values.targets.slack.existingSecret }}
{{ include "synap-webhook-receiver.standIn" "SLACK_WEBHOOK_URL" }}
{{- end }}
{{- if .Values.synapApi.existingSecret }}
{{ include "synap-webhook-receiver.standIn" "SYNAP_API_KEY" }}
{{- end }}
{{- end }}

{{/* What a worker's containers see of its volumes, from {root, worker}. */}}
{{- define "synap-webhook-receiver.workerMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .root.Values.config }}
- name: config
  mountPath: /etc/synap-hooks/config
  readOnly: true
{{- end }}
{{- if .root.Values.redis.caSecret }}
- name: redis-ca
  mountPath: /etc/synap-hooks/redis-ca
  readOnly: true
{{- end }}
{{- if .worker.tells }}
{{- range .root.Values.targets.files }}
- name: target-{{ sha256sum . | trunc 8 }}
  mountPath: /etc/synap-hooks/targets/{{ . }}
  readOnly: true
{{- end }}
{{- end }}
{{- if .worker.rotates }}
{{- range .worker.files }}
- name: rotation-{{ sha256sum . | trunc 8 }}
  mountPath: /etc/synap-hooks/rotation/{{ . }}
  readOnly: true
{{- end }}
{{- end }}
{{- end }}
