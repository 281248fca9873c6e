{{/* Name of the release's objects. */}}
{{- define "bedside.fullname" -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* What selects the pods of the release; never changes, because Deployments forbid it. */}}
{{- define "bedside.releaseLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What selects the pods of one component: list root component. */}}
{{- define "bedside.selectorLabels" -}}
{{ include "bedside.releaseLabels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of an object: list root component. */}}
{{- define "bedside.labels" -}}
{{- $root := index . 0 -}}
{{ include "bedside.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{/* Image of a component: digest before tag, tag before the chart's version: list root component. */}}
{{- define "bedside.image" -}}
{{- $root := index . 0 -}}
{{- $values := get $root.Values (index . 1) -}}
{{- with $root.Values.global.imageRegistry }}{{ . }}/{{ end -}}
{{- $values.image.repository -}}
{{- with $values.image.digest }}@{{ . }}{{ else -}}
:{{ $values.image.tag | default $root.Chart.AppVersion }}{{ if dig "gpu" "enabled" false $values }}-cuda{{ end }}
{{- end -}}
{{- end }}

{{/* What every container has in common: list root component. */}}
{{- define "bedside.container" -}}
image: {{ include "bedside.image" . | quote }}
imagePullPolicy: {{ (index . 0).Values.global.imagePullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Where engines may run, as a YAML list; engine.slots says which of them do. The gateway knows both,
so that it need not be restarted when a second one is. */}}
{{- define "bedside.engineSlots" -}}
[engine, engine-next]
{{- end }}

{{/* Requests and limits with the component's GPUs: its values. */}}
{{- define "bedside.gpuResources" -}}
{{- $resources := deepCopy .resources -}}
{{- if .gpu.enabled -}}
{{- $_ := set $resources.limits .gpu.resourceName .gpu.count -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end }}

{{/* What every pod has in common: the root. OnRootMismatch matters: a recursive change at each mount
would make the signing key readable for the group, and eval refuses such a key. Service links would
put variables into the images' own BEDSIDE_ name space. */}}
{{- define "bedside.pod" -}}
serviceAccountName: {{ include "bedside.fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{/* Where a pod runs: list of the pod's values and of those of its GPUs, if any. */}}
{{- define "bedside.placement" -}}
{{- $pod := index . 0 -}}
{{- $gpu := dict -}}
{{- range rest . }}{{ if .enabled }}{{ $gpu = . }}{{ end }}{{ end -}}
{{- with $gpu.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with merge dict $pod.nodeSelector ($gpu.nodeSelector | default dict) }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat $pod.tolerations ($gpu.tolerations | default list) }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
