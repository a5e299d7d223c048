{{- define "rolecall.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "rolecall.fullname" -}}
{{- $name := include "rolecall.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- /* Short enough for -server behind it. */ -}}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- /*
The name of one part's objects, for (list . "agent") and (list . "server"). The Service, the address
that agents dial and the certificate's names all come from here, so that they can't differ.
*/ -}}
{{- define "rolecall.part" -}}
{{- $root := index . 0 -}}
{{- $values := index $root.Values (index . 1) -}}
{{- $full := printf "%s-%s" (include "rolecall.fullname" $root) (default (index . 1) $values.name) -}}
{{- default $full $values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- /* Kiam's selector labels, so that an installation of Kiam's chart can be upgraded in place. */ -}}
{{- define "rolecall.selector" -}}
{{- $root := index . 0 -}}
{{- $values := index $root.Values (index . 1) -}}
app: {{ include "rolecall.name" $root | quote }}
component: {{ default (index . 1) $values.name | quote }}
release: {{ $root.Release.Name | quote }}
{{- end }}

{{- define "rolecall.labels" -}}
{{- $root := index . 0 -}}
{{ include "rolecall.selector" . }}
app.kubernetes.io/name: {{ include "rolecall.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 | quote }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | quote }}
{{- end }}

{{- define "rolecall.serviceAccount" -}}
{{- $root := index . 0 -}}
{{- $account := index $root.Values.serviceAccounts (index . 1) -}}
{{- $made := ternary (include "rolecall.part" .) "default" $account.create -}}
{{- default $made $account.name -}}
{{- end }}

{{- define "rolecall.image" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- $own := default dict (index $root.Values $part).image -}}
{{- $repository := default $root.Values.image.repository $own.repository -}}
{{- if contains "uswitch/kiam" $repository -}}
{{- fail (printf "%s.image is Kiam's: leave %s.image.repository and %s.image.tag out, or name Rolecall's image" $part $part $part) -}}
{{- end -}}
image: {{ printf "%s:%v" $repository (coalesce $own.tag $root.Values.image.tag $root.Chart.AppVersion) | quote }}
imagePullPolicy: {{ default $root.Values.image.pullPolicy $own.pullPolicy }}
{{- end }}

{{- define "rolecall.imagePullSecrets" -}}
{{- $secrets := .Values.imagePullSecrets -}}
{{- if kindIs "string" $secrets -}}{{- $secrets = compact (list $secrets) -}}{{- end -}}
{{- if $secrets -}}
imagePullSecrets:
{{- range $secrets }}
  - name: {{ ternary (dict "name" .) . (kindIs "string" .) | dig "name" "" | quote }}
{{- end }}
{{- end -}}
{{- end }}

{{- /*
Arguments from a map of flags. Values come as YAML has them: whole numbers are floats there, which must
not be written as 1e+06.
*/ -}}
{{- define "rolecall.args" -}}
{{- range $flag, $value := . }}
{{- if kindIs "float64" $value }}{{ $value = ternary (int64 $value) $value (eq (floor $value) $value) }}{{ end }}
{{- if kindIs "bool" $value }}
- {{ printf "--%s%s" (ternary "" "no-" $value) $flag | quote }}
{{- else if eq (toString (default "" $value)) "" }}
- {{ printf "--%s" $flag | quote }}
{{- else }}
- {{ printf "--%s=%v" $flag $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Adds what both parts have to the map of flags: (list . "agent" $args). extraArgs go before all. */ -}}
{{- define "rolecall.commonArgs" -}}
{{- $root := index . 0 -}}
{{- $values := index $root.Values (index . 1) -}}
{{- $args := index . 2 -}}
{{- $_ := set $args "level" $values.log.level -}}
{{- if $values.log.jsonOutput -}}
  {{- $_ := set $args "json-log" true -}}
{{- end -}}
{{- $folder := "/etc/rolecall/tls" -}}
{{- $names := include "rolecall.tlsFileNames" (list $root (index . 1)) | fromYaml -}}
{{- $_ := set $args "cert" (printf "%s/%s" $folder $names.cert) -}}
{{- $_ := set $args "key" (printf "%s/%s" $folder $names.key) -}}
{{- $_ := set $args "ca" (printf "%s/%s" $folder $names.ca) -}}
{{- with $values.prometheus.port -}}
  {{- $_ := set $args "prometheus-listen-addr" (printf ":%v" .) -}}
{{- end -}}
{{- $keepalive := default dict $values.keepaliveParams -}}
{{- with $keepalive.time -}}
  {{- $_ := set $args "grpc-keepalive-time-duration" . -}}
{{- end -}}
{{- with $keepalive.timeout -}}
  {{- $_ := set $args "grpc-keepalive-timeout-duration" . -}}
{{- end -}}
{{- range $flag, $value := $values.extraArgs -}}
  {{- /* A flag that is given twice is an error. */ -}}
  {{- $_ := unset $args (trimPrefix "no-" $flag) -}}
  {{- $_ := set $args $flag $value -}}
{{- end -}}
{{- end }}

{{- /* "true" when the part's certificate is not brought by values. */ -}}
{{- define "rolecall.makesCertificate" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
{{- if and $values.enabled (not $values.tlsSecret) (not (compact (values (default dict $values.tlsFiles)))) -}}true{{- end -}}
{{- end }}

{{- define "rolecall.tlsSecret" -}}
{{- $root := index . 0 -}}
{{- $values := index $root.Values (index . 1) -}}
{{- if $values.tlsSecret -}}
{{- $values.tlsSecret -}}
{{- else if and $root.Values.tls.certManager.enabled (include "rolecall.makesCertificate" .) -}}
{{- include "rolecall.part" . }}-tls
{{- else -}}
{{- include "rolecall.part" . -}}
{{- end -}}
{{- end }}

{{- define "rolecall.tlsFileNames" -}}
{{- $root := index . 0 -}}
{{- $given := default dict (index $root.Values (index . 1)).tlsCerts -}}
{{- $own := include "rolecall.makesCertificate" . -}}
{{- if and $own $root.Values.tls.certManager.enabled -}}
{cert: tls.crt, key: tls.key, ca: ca.crt}
{{- else if (index $root.Values (index . 1)).tlsSecret -}}
cert: {{ default "cert" $given.certFileName | quote }}
key: {{ default "key" $given.keyFileName | quote }}
ca: {{ default "ca" $given.caFileName | quote }}
{{- else -}}
{cert: cert, key: key, ca: ca}
{{- end -}}
{{- end }}

{{- /* The server's names, by which agents know it. */ -}}
{{- define "rolecall.serverNames" -}}
{{- $name := include "rolecall.part" (list . "server") -}}
{{- $namespace := .Release.Namespace -}}
- {{ $name }}
- {{ $name }}.{{ $namespace }}
- {{ $name }}.{{ $namespace }}.svc
- {{ $name }}.{{ $namespace }}.svc.cluster.local
- localhost
{{- end }}

{{- define "rolecall.probes" -}}
{{- if .prometheus.port -}}
livenessProbe:
  httpGet:
    path: /livez
    port: metrics
  {{- toYaml .livenessProbe | nindent 2 }}
readinessProbe:
  httpGet:
    path: /readyz
    port: metrics
  {{- toYaml .readinessProbe | nindent 2 }}
{{- end -}}
{{- end }}

{{- define "rolecall.volumeMounts" -}}
- name: tls
  mountPath: /etc/rolecall/tls
  readOnly: true
{{- range .extraHostPathMounts }}
- name: {{ .name | quote }}
  mountPath: {{ .mountPath | quote }}
  readOnly: {{ default false .readOnly }}
{{- end }}
{{- with .extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "rolecall.volumes" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
- name: tls
  secret:
    secretName: {{ include "rolecall.tlsSecret" . }}
{{- range $values.extraHostPathMounts }}
- name: {{ .name | quote }}
  hostPath:
    path: {{ .hostPath | quote }}
{{- end }}
{{- with $values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "rolecall.metadata" -}}
{{- /* A pod template's metadata. */ -}}
{{- $values := index (index . 0).Values (index . 1) -}}
labels:
  {{- include "rolecall.selector" . | nindent 2 }}
  app.kubernetes.io/name: {{ include "rolecall.name" (index . 0) | quote }}
  app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
  app.kubernetes.io/component: {{ index . 1 | quote }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
