{{/* What makes an object part of the check before an install or upgrade: its weight. */}}
{{- define "bedside.checkHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
# After a refusal everything stays, so that it can be read.
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* One image looks at its part of the config: dict root, component, files (whether what the config names can
be opened), mounts. */}}
{{- define "bedside.checkContainer" -}}
- name: check-{{ .component }}
  {{- include "bedside.container" (list .root .component) | nindent 2 }}
  args: [check, --config, /app/configs/run.yaml]
  env:
    - {name: BEDSIDE_CHECK, value: {{ ternary "files" "settings" .files }}}
  resources:
    {{- toYaml .root.Values.check.resources | nindent 4 }}
  volumeMounts:
    - {name: config, mountPath: /app/configs, readOnly: true}
    {{- with .mounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    - {name: tmp, mountPath: /tmp}
{{- end }}
