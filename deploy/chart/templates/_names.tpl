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

{{- define "kruise.daemonSelector" -}}
app.kubernetes.io/name: kruise
app.kubernetes.io/component: daemon
control-plane: daemon
{{- end }}

{{- define "kruise.daemonLabels" -}}
{{ include "kruise.labels" . }}
app.kubernetes.io/component: daemon
{{- end }}

{{- /* The image of a program: of the values of one, with the version of the chart's app. */}}
{{- define "kruise.image" -}}
{{- with .values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.root.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* "true" if a feature gate is on that is off by default. stage is the gate that switches all of its stage. */}}
{{- define "kruise.gate" -}}
{{- $gates := printf ",%s," .root.Values.featureGates -}}
{{- if contains (printf ",%s=true," .name) $gates -}}
true
{{- else if and (contains (printf ",%s=true," .stage) $gates) (not (contains (printf ",%s=false," .name) $gates)) -}}
true
{{- end -}}
{{- end }}
