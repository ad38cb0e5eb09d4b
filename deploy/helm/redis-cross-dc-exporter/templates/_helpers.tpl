{{- define "exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "exporter.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "exporter.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "exporter.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "exporter.selector" -}}
app.kubernetes.io/name: {{ include "exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "exporter.labels" -}}
{{ include "exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "exporter.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "exporter.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "exporter.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- /* The configuration as text; a release without one is refused. */}}
{{- define "exporter.config" -}}
{{- if not .Values.config }}
{{- fail "config is empty: put pairs or sentinels there, as in redis-cross-dc-exporter.yml (docs/configuration.md), or set existingConfig.name" }}
{{- end }}
{{- toYaml .Values.config }}
{{- end }}

{{- define "exporter.secret" -}}
{{- default (printf "%s-secrets" (include "exporter.fullname" .)) .Values.secrets.existingSecret }}
{{- end }}

{{- define "exporter.hasSecret" -}}
{{- if or .Values.secrets.existingSecret .Values.secrets.files }}true{{- end }}
{{- end }}

{{- /* What a probe runs or asks. Where web.yml may ask for HTTPS, a password or a certificate, the program itself runs
       in the pod: it needs none of them there. */}}
{{- define "exporter.probe" -}}
{{- $web := .values.webConfig }}
{{- if $web.existingSecret }}
exec:
  command:
    - /redis-cross-dc-exporter
    - healthcheck
    - {{ printf "--web.listen-address=%s" .values.listenAddress | quote }}
    - --web.config.file=/etc/redis-cross-dc-exporter-web/{{ $web.key }}
{{- else }}
httpGet: {path: {{ .path }}, port: http}
{{- end }}
{{- end }}
