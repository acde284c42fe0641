{{- define "base.name" -}}
{{ default .Release.Name .Values.nightporter.service | replace "." "-" | trunc 53 | trimSuffix "-" }}
{{- end }}

{{- define "base.selector" -}}
app.kubernetes.io/name: {{ include "base.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "base.labels" -}}
{{ include "base.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.nightporter.version }}
app.kubernetes.io/version: {{ . | quote }}
{{- end }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "base.image" -}}
{{- $i := .Values.image -}}
{{- required "image.repository is missing" $i.repository -}}
{{- if $i.digest }}@{{ $i.digest }}{{ else }}:{{ required "image.tag is missing" $i.tag }}{{ end -}}
{{- end }}

{{- define "base.ready" -}}
{{ default .Values.nightporter.health .Values.probes.ready }}
{{- end }}

{{- define "base.probe" -}}
{{- if .path }}
httpGet: {path: {{ .path | quote }}, port: http}
{{- else }}
tcpSocket: {port: http}
{{- end }}
{{- end }}
