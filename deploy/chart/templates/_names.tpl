{{- define "kruise.labels" -}}
app.kubernetes.io/name: kruise
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "kruise.managerSelector" -}}
app.kubernetes.io/name: kruise
app.kubernetes.io/component: manager
control-plane: controller-manager
{{- end }}

{{- define "kruise.managerLabels" -}}
{{ include "kruise.labels" . }}
app.kubernetes.io/component: manager
{{- end }}

{{- define "kruise.image" -}}
{{- with .Values.manager.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}
