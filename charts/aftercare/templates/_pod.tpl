{{/* The pod of the StatefulSet (SQLite) and of the Deployment (PostgreSQL). */}}
{{- define "aftercare.pod" -}}
metadata:
  labels:
    {{- include "aftercare.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "aftercare.serviceAccount" . }}
  automountServiceAccountToken: false
  # Kubernetes would add variables such as AFTERCARE_SERVICE_HOST, which the program
  # refuses as unknown settings.
  enableServiceLinks: false
  # The drain delay, at most 25 s for requests that are under way, and some room.
  terminationGracePeriodSeconds: 95
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: aftercare
      image: {{ include "aftercare.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve{{ if .Values.config }}, --config, /config/aftercare.yaml{{ end }}]
      envFrom:
        - configMapRef:
            name: {{ include "aftercare.fullname" . }}
      {{- if .Values.database.secretName }}
      env:
        - name: AFTERCARE_DATABASE
          valueFrom:
            secretKeyRef:
              name: {{ .Values.database.secretName }}
              key: {{ .Values.database.secretKey }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      # The service listens on the pod's loopback address, which the kubelet cannot
      # reach: the program asks itself. "check" asks /readyz, "check --live" /healthz.
      startupProbe:
        exec:
          command: [/aftercare, check]
        periodSeconds: 1
        timeoutSeconds: 5
        failureThreshold: 60
      readinessProbe:
        exec:
          command: [/aftercare, check]
        periodSeconds: 5
        timeoutSeconds: 5
      livenessProbe:
        exec:
          command: [/aftercare, check, --live]
        periodSeconds: 20
        timeoutSeconds: 5
        failureThreshold: 3
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if not .Values.database.secretName }}
        - name: data
          mountPath: /data
        {{- end }}
        {{- if .Values.database.caSecretName }}
        - name: database
          mountPath: /database
          readOnly: true
        {{- end }}
        {{- if .Values.tokens.keysSecretName }}
        - name: keys
          mountPath: /keys
          readOnly: true
        {{- end }}
        {{- if .Values.config }}
        - name: config
          mountPath: /config
          readOnly: true
        {{- end }}
        {{- if .Values.definitions }}
        - name: definitions
          mountPath: /definitions
          readOnly: true
        {{- end }}
        {{- if .Values.site }}
        - name: site
          mountPath: /site
          readOnly: true
        {{- end }}
    {{- with .Values.proxy.container }}
    - {{- toYaml . | nindent 6 }}
    {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- if .Values.database.caSecretName }}
    - name: database
      secret:
        secretName: {{ .Values.database.caSecretName }}
        items:
          - key: ca.crt
            path: ca.crt
    {{- end }}
    {{- if .Values.tokens.keysSecretName }}
    - name: keys
      secret:
        secretName: {{ .Values.tokens.keysSecretName }}
        defaultMode: 0440
    {{- end }}
    {{- if .Values.config }}
    - name: config
      configMap:
        name: {{ include "aftercare.fullname" . }}-config
    {{- end }}
    {{- if .Values.definitions }}
    - name: definitions
      configMap:
        name: {{ include "aftercare.fullname" . }}-definitions
    {{- end }}
    {{- if .Values.site }}
    - name: site
      configMap:
        name: {{ include "aftercare.fullname" . }}-site
    {{- end }}
  {{- if .Values.database.secretName }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "aftercare.selector" . | nindent 10 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
