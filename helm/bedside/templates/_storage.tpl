{{/* Name of a component's claim: list root suffix values. */}}
{{- define "bedside.claimName" -}}
{{- (index . 2).existingClaim | default (printf "%s-%s" (include "bedside.fullname" (index . 0)) (index . 1)) -}}
{{- end }}

{{/* A claim, unless an existing one is named: list root suffix values. */}}
{{- define "bedside.claim" -}}
{{- $values := index . 2 -}}
{{- if not $values.existingClaim }}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "bedside.claimName" . }}
  namespace: {{ (index . 0).Release.Namespace }}
  labels:
    {{- include "bedside.labels" (list (index . 0) (index . 1)) | nindent 4 }}
  annotations:
    # Models, evidence and keys outlive the release.
    helm.sh/resource-policy: keep
spec:
  {{- include "bedside.claimSpec" $values | nindent 2 }}
{{- end }}
{{- end }}

{{/* What a claim asks for: its values. */}}
{{- define "bedside.claimSpec" -}}
accessModes: [{{ .accessMode }}]
{{- with .storageClass }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests:
    storage: {{ .size }}
{{- end }}

{{/* A volume on a claim: list root suffix values. */}}
{{- define "bedside.claimVolume" -}}
- name: {{ index . 1 }}
  persistentVolumeClaim:
    claimName: {{ include "bedside.claimName" . }}
{{- end }}

{{/* The variable that says whose registry it must be, if a value does: the root. */}}
{{- define "bedside.pin" -}}
{{- with .Values.trust.fingerprint -}}
- {name: BEDSIDE_PIN, value: {{ . | quote }}}
{{- end -}}
{{- end }}

{{/* The volume of the run config: the root. */}}
{{- define "bedside.configVolume" -}}
- name: config
  configMap:
    name: {{ include "bedside.fullname" . }}
{{- end }}

{{/* The volume of the documents: the root. Read-only as a volume too, because Kubernetes would
otherwise give the documents to the pod's fsGroup. */}}
{{- define "bedside.dataVolume" -}}
- name: data
  persistentVolumeClaim:
    claimName: {{ .Values.data.existingClaim }}
    readOnly: true
{{- end }}

{{/* The volume of the token that the gateway must show to an engine: the root. */}}
{{- define "bedside.tokenVolume" -}}
- name: engine-token
  secret:
    secretName: {{ include "bedside.tokenSecret" . }}
    # Owned by root and readable for the group 10001.
    defaultMode: 0440
    items:
      - {key: engine-token, path: engine-token}
{{- end }}

{{/* Name of the Secret with that token: the root. */}}
{{- define "bedside.tokenSecret" -}}
{{- .Values.engineToken.existingSecret | default (printf "%s-engine-token" (include "bedside.fullname" .)) -}}
{{- end }}

{{/* Room for files that end with the pod: list root name. */}}
{{- define "bedside.scratchVolume" -}}
- name: {{ index . 1 }}
  emptyDir:
    sizeLimit: {{ (index . 0).Values.global.scratchSize }}
{{- end }}

{{/* Shared memory: its size. */}}
{{- define "bedside.shmVolume" -}}
- name: shm
  emptyDir:
    medium: Memory
    sizeLimit: {{ . }}
{{- end }}
