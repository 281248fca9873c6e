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

{{/* A version where no "+" may stand: in labels and in an image's tag. */}}
{{- define "bedside.version" -}}
{{- . | replace "+" "_" | trunc 63 | trimAll "-_." -}}
{{- end }}

{{/* Labels of an object: list root component. */}}
{{- define "bedside.labels" -}}
{{- $root := index . 0 -}}
{{ include "bedside.selectorLabels" . }}
app.kubernetes.io/version: {{ include "bedside.version" $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ include "bedside.version" (printf "%s-%s" $root.Chart.Name $root.Chart.Version) }}
{{- end }}

{{/* Image of a component, wherever it is fetched from: digest before tag, tag before the chart's version:
list root component. */}}
{{- define "bedside.imageName" -}}
{{- $root := index . 0 -}}
{{- $values := get $root.Values (index . 1) -}}
{{- $values.image.repository -}}
{{- with $values.image.digest }}@{{ . }}{{ else -}}
:{{ $values.image.tag | default (include "bedside.version" $root.Chart.AppVersion) }}{{ if dig "gpu" "enabled" false $values }}-cuda{{ end }}
{{- end -}}
{{- end }}

{{/* The same with the mirror in front: list root component. */}}
{{- define "bedside.image" -}}
{{- with (index . 0).Values.global.imageRegistry }}{{ . }}/{{ end -}}
{{- include "bedside.imageName" . -}}
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
serviceAccountName: {{ .serviceAccount | default (include "bedside.fullname" .) }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- if .Values.global.fixedUser }}
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  {{- end }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{/* Labels of a component's pods; ours win, because they select: list root component values. */}}
{{- define "bedside.podLabels" -}}
{{- merge (include "bedside.selectorLabels" . | fromYaml) (index . 2).labels | toYaml -}}
{{- end }}

{{/* Where a pod runs: list of the root, the pod's values, and those of its GPUs, if any. Without
an affinity of its own, and with a registry that one node at a time can mount, a pod prefers the node of the
release's others. */}}
{{- define "bedside.placement" -}}
{{- $root := index . 0 -}}
{{- $pod := index . 1 -}}
{{- $gpu := dict -}}
{{- range slice . 2 }}{{ if .enabled }}{{ $gpu = . }}{{ end }}{{ end -}}
{{- with $pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
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
{{- else }}
{{- if eq $root.Values.registry.accessMode "ReadWriteOnce" }}
affinity:
  podAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "bedside.releaseLabels" $root | nindent 14 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Bytes, as a decimal number: a quantity. */}}
{{- define "bedside.bytes" -}}
{{- $unit := regexFind "[a-zA-Z]*$" (toString .) -}}
{{- $bytes := dict "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- mulf (trimSuffix $unit (toString .) | float64) (get $bytes $unit | default 1 | float64) | int64 -}}
{{- end }}
