package revision_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/plan/revision"
)

// written is a template, and the same with every default that is written out by managers which do so.
const (
	written = `
metadata: {labels: {app: web}}
spec:
  serviceAccountName: web
  hostNetwork: true
  initContainers:
  - {name: init, image: init}
  containers:
  - name: web
    image: registry:5000/web:1
    ports: [{containerPort: 80}]
    env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    resources: {limits: {cpu: "1", memory: 1Gi}, requests: {memory: 512Mi}}
    livenessProbe: {httpGet: {port: 80}}
    readinessProbe: {grpc: {port: 81}, periodSeconds: 5}
    startupProbe: {tcpSocket: {port: 80}}
    lifecycle: {preStop: {httpGet: {path: /stop, port: 80}}}
  volumes:
  - {name: a, secret: {secretName: a}}
  - {name: b, configMap: {name: b}}
  - {name: c, hostPath: {path: /c}}
  - {name: d, downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}
  - {name: e, projected: {sources: [{serviceAccountToken: {path: token}}, {downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}]}}
`
	defaulted = `
metadata: {creationTimestamp: null, labels: {app: web}}
spec:
  serviceAccountName: web
  serviceAccount: web
  hostNetwork: true
  dnsPolicy: ClusterFirst
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext: {}
  terminationGracePeriodSeconds: 30
  initContainers:
  - {name: init, image: init, imagePullPolicy: Always, resources: {}, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File}
  containers:
  - name: web
    image: registry:5000/web:1
    imagePullPolicy: IfNotPresent
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    ports: [{containerPort: 80, hostPort: 80, protocol: TCP}]
    env: [{name: NAME, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}}]
    resources: {limits: {cpu: "1", memory: 1Gi}, requests: {cpu: "1", memory: 512Mi}}
    livenessProbe: {httpGet: {path: /, port: 80, scheme: HTTP}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
    readinessProbe: {grpc: {port: 81, service: ""}, timeoutSeconds: 1, periodSeconds: 5, successThreshold: 1, failureThreshold: 3}
    startupProbe: {tcpSocket: {port: 80}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
    lifecycle: {preStop: {httpGet: {path: /stop, port: 80, scheme: HTTP}}}
  volumes:
  - {name: a, secret: {secretName: a, defaultMode: 420}}
  - {name: b, configMap: {name: b, defaultMode: 420}}
  - {name: c, hostPath: {path: /c, type: ""}}
  - {name: d, downwardAPI: {defaultMode: 420, items: [{path: name, fieldRef: {apiVersion: v1, fieldPath: metadata.name}}]}}
  - {name: e, projected: {defaultMode: 420, sources: [{serviceAccountToken: {path: token, expirationSeconds: 3600}}, {downwardAPI: {items: [{path: name, fieldRef: {apiVersion: v1, fieldPath: metadata.name}}]}}]}}
`
)

func parse(t *testing.T, text string) *corev1.PodTemplateSpec {
	t.Helper()
	template := &corev1.PodTemplateSpec{}
	if err := yaml.UnmarshalStrict([]byte(text), template); err != nil {
		t.Fatal(err)
	}
	return template
}

func TestATemplateWithItsDefaultsWrittenOutMeansTheSame(t *testing.T) {
	a, b := revision.Alike(parse(t, written), parse(t, defaulted))
	if !equality.Semantic.DeepEqual(a, b) {
		t.Errorf("-as written +with defaults:\n%s", cmp.Diff(a, b))
	}
}

func TestWhatIsNoDefaultIsADifference(t *testing.T) {
	for name, change := range map[string]func(*corev1.PodTemplateSpec){
		"another grace period":     func(t *corev1.PodTemplateSpec) { t.Spec.TerminationGracePeriodSeconds = new(int64(31)) },
		"another protocol":         func(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].Ports[0].Protocol = corev1.ProtocolUDP },
		"another mode of a volume": func(t *corev1.PodTemplateSpec) { t.Spec.Volumes[0].Secret.DefaultMode = new(int32(0o400)) },
		"another pull policy":      func(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].ImagePullPolicy = corev1.PullAlways },
		"the pull policy of a tag": func(t *corev1.PodTemplateSpec) { t.Spec.InitContainers[0].ImagePullPolicy = corev1.PullIfNotPresent },
		"another request": func(t *corev1.PodTemplateSpec) {
			delete(t.Spec.Containers[0].Resources.Requests, corev1.ResourceMemory)
		},
		"another port of the host": func(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].Ports[0].HostPort = 8080 },
		"another security context": func(t *corev1.PodTemplateSpec) {
			t.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: new(true)}
		},
		"a label":                 func(t *corev1.PodTemplateSpec) { t.Labels["track"] = "canary" },
		"an image of a container": func(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].Image = "web:2" },
		"a container more": func(t *corev1.PodTemplateSpec) {
			t.Spec.Containers = append(t.Spec.Containers, corev1.Container{Name: "b"})
		},
		"an image of an init container": func(t *corev1.PodTemplateSpec) { t.Spec.InitContainers[0].Image = "init:2" },
	} {
		t.Run(name, func(t *testing.T) {
			other := parse(t, defaulted)
			change(other)
			if a, b := revision.Alike(parse(t, written), other); equality.Semantic.DeepEqual(a, b) {
				t.Error("it makes no difference")
			}
		})
	}
}

func TestAlikeLeavesItsTemplatesAsTheyAre(t *testing.T) {
	a, b := parse(t, written), parse(t, defaulted)
	revision.Alike(a, b)
	if diff := cmp.Diff(parse(t, defaulted), b); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}
