{{/* The chart's name, or what replaces it. */}}
{{- define "synap-webhook-receiver.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* What begins the name of every object; not shortened yet. */}}
{{- define "synap-webhook-receiver.fullname" -}}
{{- $name := include "synap-webhook-receiver.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name }}
{{- end }}
{{- end }}

{{/*
The name of a component's objects, from {root, component}: at most 52 characters, so that what
controllers append still fits into a label. A digest keeps what is cut distinct.
*/}}
{{- define "synap-webhook-receiver.componentName" -}}
{{- $full := include "synap-webhook-receiver.fullname" .root }}
{{- $room := sub 51 (len .component) | int }}
{{- if gt (len $full) $room }}
{{- $full = printf "%s-%s" (trunc (sub $room 9 | int) $full | trimSuffix "-") (sha256sum $full | trunc 8) }}
{{- end }}
{{- printf "%s-%s" $full .component }}
{{- end }}

{{/* Labels by which a component's pods are selected, from {root, component}: they never change. */}}
{{- define "synap-webhook-receiver.selectorLabels" -}}
app.kubernetes.io/name: {{ include "synap-webhook-receiver.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of every object of a component, from {root, component}. */}}
{{- define "synap-webhook-receiver.labels" -}}
{{ include "synap-webhook-receiver.selectorLabels" . }}
app.kubernetes.io/part-of: synap-hooks
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "synap-webhook-receiver.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The ServiceAccount of a component, from {root, component, account}. */}}
{{- define "synap-webhook-receiver.serviceAccountName" -}}
{{- if .account.create }}
{{- .account.name | default (include "synap-webhook-receiver.componentName" .) }}
{{- else }}
{{- .account.name | default "default" }}
{{- end }}
{{- end }}

{{/* Environment from a map of settings: commitTimeout becomes SYNAP_COMMIT_TIMEOUT. */}}
{{- define "synap-webhook-receiver.settingsEnv" -}}
{{- range $name, $value := . }}
{{- if ne (toString $value) "" }}
- name: SYNAP_{{ snakecase $name | upper }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* A variable with a Secret's value, from {variable, secret, key}. */}}
{{- define "synap-webhook-receiver.secretEnv" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end }}

{{/* How to reach Redis, from {root, own}: `own` is the role's own user. */}}
{{- define "synap-webhook-receiver.redisEnv" -}}
{{- $redis := .root.Values.redis }}
{{- if .own.existingSecret }}
{{ include "synap-webhook-receiver.secretEnv" (dict "variable" "SYNAP_REDIS_URL" "secret" .own.existingSecret "key" .own.secretKey) }}
{{- else if $redis.existingSecret }}
{{ include "synap-webhook-receiver.secretEnv" (dict "variable" "SYNAP_REDIS_URL" "secret" $redis.existingSecret "key" $redis.secretKey) }}
{{- else if $redis.url }}
- name: SYNAP_REDIS_URL
  value: {{ $redis.url | quote }}
{{- else if .root.Values.valkey.enabled }}
{{- $host := include "synap-webhook-receiver.componentName" (dict "root" .root "component" "valkey") }}
{{- if .root.Values.valkey.existingSecret }}
{{ include "synap-webhook-receiver.secretEnv" (dict "variable" "VALKEY_PASSWORD" "secret" .root.Values.valkey.existingSecret "key" "password") }}
{{- end }}
- name: SYNAP_REDIS_URL
  value: "redis://{{ if .root.Values.valkey.existingSecret }}:$(VALKEY_PASSWORD)@{{ end }}{{ $host }}:6379/0"
{{- else }}
{{- fail "no Redis: set redis.existingSecret (a Secret with the URL in the key url), redis.url, or valkey.enabled to try it out" }}
{{- end }}
{{- if $redis.keyPrefix }}
- name: SYNAP_KEY_PREFIX
  value: {{ $redis.keyPrefix | quote }}
- name: RQ_KEY_PREFIX
  value: {{ printf "%s:rq" $redis.keyPrefix | quote }}
{{- end }}
{{- end }}

{{/* The parts of a pod that every component has, from {root, pod, selector}. */}}
{{- define "synap-webhook-receiver.podCommon" -}}
enableServiceLinks: false
securityContext: {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .pod.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.topologyKey }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- $.selector | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{/* The labels of this release's series, as JSON. */}}
{{- define "synap-webhook-receiver.seriesLabels" -}}
{{- .Values.monitoring.selector | default (dict "namespace" .Release.Namespace "app_kubernetes_io_instance" .Release.Name) | toJson }}
{{- end }}

{{/* Label matchers of this release's series. */}}
{{- define "synap-webhook-receiver.series" -}}
{{- $matchers := list }}
{{- range $label, $value := include "synap-webhook-receiver.seriesLabels" . | fromJson }}
{{- $matchers = append $matchers (printf "%s=%q" $label $value) }}
{{- end }}
{{- join "," $matchers }}
{{- end }}

{{/* The entry of a worker deployment with what it leaves out, from {root, name}; as JSON. */}}
{{- define "synap-webhook-receiver.worker" -}}
{{- $own := get .root.Values.workers.deployments .name | default dict }}
{{- $worker := mergeOverwrite (deepCopy .root.Values.workers.defaults) (deepCopy $own) }}
{{- $queues := dict }}
{{- range $queue, $count := $worker.queues }}
{{- if gt (int $count) 0 }}{{- $_ := set $queues $queue (int $count) }}{{- end }}
{{- end }}
{{- if and $worker.enabled (not $queues) }}
{{- fail (printf "workers.deployments.%s serves no queue: set its queues, such as {events: 1}" .name) }}
{{- end }}
{{- $worker = merge (dict "queues" $queues) (omit $worker "queues") }}
{{- $_ := set $worker "component" (printf "worker-%s" .name) }}
{{- $_ := set $worker "tells" (hasKey $queues "notifications") }}
{{- $_ := set $worker "rotates" (hasKey $queues "rotation") }}
{{- $_ := set $worker "asks" (or (hasKey $queues "events") (hasKey $queues "events-bulk") (hasKey $queues "rotation")) }}
{{- $_ := set $worker "cluster" (and (hasKey $queues "rotation") (not (empty .root.Values.rotation.kubernetes))) }}
{{- toJson $worker }}
{{- end }}

{{/* Where the ConfigMap with the YAML file is used. */}}
{{- define "synap-webhook-receiver.configName" -}}
{{- include "synap-webhook-receiver.componentName" (dict "root" . "component" "config") }}
{{- end }}

{{/* The volume of an endpoint's keys: an endpoint's name may hold what a volume's may not. */}}
{{- define "synap-webhook-receiver.keysVolume" -}}
{{- printf "keys-%s" (sha256sum . | trunc 8) }}
{{- end }}

{{/* Who may read probes and metrics. */}}
{{- define "synap-webhook-receiver.adminIngress" -}}
- ports:
    - {port: admin, protocol: TCP}
  from: {{- .Values.networkPolicy.monitoringFrom | default (list (dict "namespaceSelector" dict)) | toYaml | nindent 4 }}
{{- end }}

{{/* What every component must reach: names and Redis. */}}
{{- define "synap-webhook-receiver.commonEgress" -}}
# names
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
# Redis
- ports:
    {{- range .Values.networkPolicy.redis.ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with .Values.networkPolicy.redis.to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
