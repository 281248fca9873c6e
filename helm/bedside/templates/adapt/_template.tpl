{{/* The pod of the adaptation: the root. First each image checks its part of the config, so that a
slip in the last section is not found after hours of training; then the steps, in order. */}}
{{- define "bedside.adaptTemplate" -}}
{{- $lent := include "bedside.lent" . -}}
metadata:
  labels:
    {{- include "bedside.podLabels" (list . "adapt" .Values.adapt) | nindent 4 }}
  annotations:
    bedside/run: {{ .Values.adapt.run | quote }}
    checksum/config: {{ pick .Values.config "name" "base" "corpus" "trainer" "merger" "eval" | toJson | sha256sum }}
    {{- with .Values.adapt.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "bedside.pod" . | nindent 2 }}
  {{- include "bedside.noDns" . | nindent 2 }}
  {{- with include "bedside.placement" (list . .Values.adapt .Values.trainer.gpu .Values.eval.gpu (ternary .Values.engine.gpu dict (ne $lent ""))) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  restartPolicy: Never
  # Time to save the state of an interrupted training.
  terminationGracePeriodSeconds: 120
  initContainers:
    {{- range $service := list "corpus" "trainer" "merger" "eval" }}
    - name: check-{{ $service }}
      {{- include "bedside.adaptStep" (list $ $service "check") | nindent 6 }}
    {{- end }}
    - name: import-base
      {{- include "bedside.adaptStep" (list . "trainer" "trainer" "import-base") | nindent 6 }}
    - name: plan
      {{- include "bedside.adaptStep" (list . "eval" "eval" "plan") | nindent 6 }}
    - name: corpus
      {{- include "bedside.adaptStep" (list . "corpus" "corpus" "build") | nindent 6 }}
    - name: trainer
      {{- include "bedside.adaptStep" (list . "trainer" "trainer" "run") | nindent 6 }}
    - name: merger
      {{- include "bedside.adaptStep" (list . "merger" "merger" "run") | nindent 6 }}
    {{- if $lent }}
    # Beside what follows, and ended with the pod: lends the evaluation an engine, model after model.
    - name: engine-exam
      restartPolicy: Always
      {{- include "bedside.container" (list . "engine") | nindent 6 }}
      args: [inference, examine, --config, /app/configs/run.yaml]
      env:
        {{- include "bedside.lent" . | nindent 8 }}
        {{- with include "bedside.pin" . }}
        {{- . | nindent 8 }}
        {{- end }}
      resources:
        {{- include "bedside.gpuResources" .Values.engine | nindent 8 }}
      volumeMounts:
        - {name: config, mountPath: /app/configs, readOnly: true}
        - {name: registry, mountPath: /var/lib/bedside, readOnly: true}
        - {name: pin, mountPath: /var/lib/bedside-pin, readOnly: true}
        - {name: exam, mountPath: /run/bedside-exam}
        - {name: shm, mountPath: /dev/shm}
        - {name: tmp, mountPath: /tmp}
    {{- end }}
    - name: eval
      {{- include "bedside.adaptStep" (list . "eval" "eval" "run") | nindent 6 }}
  containers:
    - name: promote
      {{- include "bedside.container" (list . "eval") | nindent 6 }}
      args: [registry, promote, {{ .Values.config.name }}/evidence]
      env:
        - {name: BEDSIDE_OPERATOR_KEY, value: /var/lib/bedside-operator/operator.pem}
        {{- with include "bedside.pin" . }}
        {{- . | nindent 8 }}
        {{- end }}
      resources:
        {{- toYaml .Values.eval.resources | nindent 8 }}
      volumeMounts:
        - {name: registry, mountPath: /var/lib/bedside}
        - {name: pin, mountPath: /var/lib/bedside-pin, readOnly: true}
        - {name: operator, mountPath: /var/lib/bedside-operator}
        - {name: tmp, mountPath: /tmp}
  volumes:
    {{- include "bedside.configVolume" . | nindent 4 }}
    {{- include "bedside.dataVolume" . | nindent 4 }}
    {{- include "bedside.claimVolume" (list . "registry" .Values.registry) | nindent 4 }}
    {{- include "bedside.claimVolume" (list . "evidence" .Values.keys.evidence) | nindent 4 }}
    {{- include "bedside.claimVolume" (list . "operator" .Values.keys.operator) | nindent 4 }}
    {{- include "bedside.claimVolume" (list . "pin" .Values.keys.pin) | nindent 4 }}
    {{- include "bedside.shmVolume" .Values.trainer.shmSize | nindent 4 }}
    {{- if $lent }}
    {{- include "bedside.scratchVolume" (list . "exam") | nindent 4 }}
    {{- end }}
    {{- include "bedside.scratchVolume" (list . "tmp") | nindent 4 }}
{{- end }}

{{/* Where an engine is lent to the evaluation, if the run config has models asked for answers: the root. In a
directory of its own, which the engine makes: Kubernetes gives the volume itself to the group. */}}
{{- define "bedside.lent" -}}
{{- $eval := .Values.config.eval | default dict -}}
{{- if and (hasKey $eval "generation") (not (kindIs "invalid" $eval.generation)) -}}
- {name: BEDSIDE_EXAM_SOCKET, value: /run/bedside-exam/lent/socket}
{{- end -}}
{{- end }}

{{/* One step of it: list root service verb... Only training and evaluation get GPUs, only the latter the key that
signs evidence, only the plan the operator's. Neither training nor merging is given the volume with the sealed texts. */}}
{{- define "bedside.adaptStep" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- $values := get $root.Values $service -}}
{{- $verb := slice . 2 -}}
{{- $trains := eq (join " " $verb) "trainer run" -}}
{{- $sealed := or $trains (eq $service "merger") -}}
{{- $keys := dict "eval plan" "operator" "eval run" "evidence" -}}
{{- $key := get $keys (join " " $verb) -}}
{{ include "bedside.container" (list $root $service) }}
args: [{{ join ", " $verb }}, --config, /app/configs/run.yaml]
{{- $reads := ne (first $verb) "check" }}
{{- $lent := ternary (include "bedside.lent" $root) "" (eq (join " " $verb) "eval run") }}
{{- if or $key (and $reads $root.Values.trust.fingerprint) }}
env:
  {{- with $lent }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with $key }}
  - {name: BEDSIDE_{{ upper . }}_KEY, value: /var/lib/bedside-{{ . }}/{{ . }}.pem}
  {{- end }}
  {{- with include "bedside.pin" $root }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}
resources:
  {{- if or $trains (eq (join " " $verb) "eval run") }}
  {{- include "bedside.gpuResources" $values | nindent 2 }}
  {{- else }}
  {{- toYaml $values.resources | nindent 2 }}
  {{- end }}
volumeMounts:
  - {name: config, mountPath: /app/configs, readOnly: true}
  {{- if not $sealed }}
  - {name: data, mountPath: /app/data, readOnly: true}
  {{- end }}
  {{- if $reads }}
  - {name: registry, mountPath: /var/lib/bedside}
  - {name: pin, mountPath: /var/lib/bedside-pin, readOnly: true}
  {{- end }}
  {{- with $key }}
  - {name: {{ . }}, mountPath: /var/lib/bedside-{{ . }}}
  {{- end }}
  {{- if $lent }}
  - {name: exam, mountPath: /run/bedside-exam}
  {{- end }}
  {{- if $trains }}
  - {name: shm, mountPath: /dev/shm}
  {{- end }}
  - {name: tmp, mountPath: /tmp}
{{- end }}
