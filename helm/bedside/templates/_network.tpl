{{/* An egress rule to the cluster's DNS: the root. */}}
{{- define "bedside.dnsEdge" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports:
    - {protocol: UDP, port: {{ .Values.networkPolicy.dnsPort }}}
    - {protocol: TCP, port: {{ .Values.networkPolicy.dnsPort }}}
{{- end }}

{{/* For pods that need no names: a resolver that refuses at once. Asking the cluster's, which the
policies put out of reach, would make each look-up of a library wait for its time-out. */}}
{{- define "bedside.noDns" -}}
dnsPolicy: None
dnsConfig:
  nameservers: [127.0.0.1]
{{- end }}
