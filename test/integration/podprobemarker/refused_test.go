package podprobemarker

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// probe is a probe that is let in; what is changed in it is written over its fields.
const probe = `{name: idle, containerName: main, probe: {exec: {command: [/idle.sh]}}, podConditionType: Idle`

func marker(t *testing.T, namespace, spec string) *unstructured.Unstructured {
	t.Helper()
	m := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte("{apiVersion: apps.kruise.io/v1alpha1, kind: PodProbeMarker, metadata: {name: demo}, spec: "+spec+"}"), &m.Object); err != nil {
		t.Fatalf("not YAML: %v\n%s", err, spec)
	}
	m.SetNamespace(namespace)
	return m
}

func selecting(probes ...string) string {
	return "{selector: {matchLabels: {app: game}}, probes: [" + strings.Join(probes, ", ") + "]}"
}

func handling(handler string) string {
	return selecting(`{name: idle, containerName: main, probe: ` + handler + `, podConditionType: Idle}`)
}

func marking(policies string) string {
	return selecting(`{name: idle, containerName: main, probe: {exec: {command: [a]}}, markerPolicy: [` + policies + `]}`)
}

// unchecked is what the API server says where a schema that does not hold keeps it from looking at the rules.
const unchecked = `, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`

func TestRefused(t *testing.T) {
	namespace := server.Namespace(t)
	for name, tc := range map[string]struct{ spec, want string }{
		"no selector": {"{probes: [" + probe + "}]}", `[spec.selector: Required value` + unchecked},
		"an empty selector": {"{selector: {}, probes: [" + probe + "}]}",
			`spec.selector: Invalid value: selector must not be empty: it would match every pod`},
		"a selector that cannot be": {"{selector: {matchLabels: {app: 'a b'}}, probes: [" + probe + "}]}",
			`spec.selector.matchLabels: Invalid value: "a b": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`},
		"no probes": {selecting(), `spec.probes: Invalid value: 0: spec.probes in body should have at least 1 items`},
		"two probes of a name": {selecting(probe+"}", probe[:len(probe)-len("Idle")]+"Busy}"),
			`spec.probes[1]: Duplicate value: {"name":"idle"}`},
		"two probes of a condition": {selecting(probe+"}", strings.Replace(probe, "idle", "other", 1)+"}"),
			`spec.probes: Invalid value: podConditionType must be unique: two probes would write the same condition`},
		"a name with #": {selecting(strings.Replace(probe, "name: idle", "name: 'i#dle'", 1) + "}"),
			`spec.probes[0].name: Invalid value: "i#dle": must not contain #, which stands between the names of the PodProbeMarker and of the probe on a node`},
		"the name of a condition of Kubernetes": {selecting(strings.Replace(probe, "name: idle", "name: Ready", 1) + "}"),
			`spec.probes[0].name: Invalid value: "Ready": must not be the name of a condition that Kubernetes or Kruise writes`},
		"a condition of ours": {selecting(strings.Replace(probe, "Idle", "KruisePodReady", 1) + "}"),
			`spec.probes[0].podConditionType: Invalid value: "KruisePodReady": must not be a condition that Kubernetes or Kruise writes`},
		"a condition that is no name": {selecting(strings.Replace(probe, "Idle", "a b", 1) + "}"),
			`spec.probes[0].podConditionType: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`},
		"neither a condition nor a policy": {selecting(`{name: idle, containerName: main, probe: {exec: {command: [a]}}}`),
			`spec.probes[0]: Invalid value: podConditionType or markerPolicy must be set: otherwise nobody would learn what the probe finds`},
		"no handler":          {handling(`{periodSeconds: 1}`), `spec.probes[0].probe: Invalid value: exactly one of exec, httpGet and tcpSocket must be set`},
		"two handlers":        {handling(`{exec: {command: [a]}, tcpSocket: {port: 80}}`), `spec.probes[0].probe: Invalid value: exactly one of exec, httpGet and tcpSocket must be set`},
		"a host":              {handling(`{tcpSocket: {port: 80, host: example.org}}`), `spec.probes[0].probe: Invalid value: tcpSocket.host must not be set: pods are probed at their own address`},
		"another host":        {handling(`{httpGet: {path: /, scheme: HTTP, port: 80, host: example.org}}`), `spec.probes[0].probe: Invalid value: httpGet.host must not be set: pods are probed at their own address`},
		"no path":             {handling(`{httpGet: {scheme: HTTP, port: 80}}`), `spec.probes[0].probe: Invalid value: httpGet.path must be set`},
		"another scheme":      {handling(`{httpGet: {path: /, scheme: FTP, port: 80}}`), `spec.probes[0].probe: Invalid value: httpGet.scheme must be HTTP or HTTPS`},
		"a port that is none": {handling(`{tcpSocket: {port: 70000}}`), `spec.probes[0].probe: Invalid value: tcpSocket.port must be a port from 1 to 65535 or the name of a port of the container`},
		"a port whose name is none": {handling(`{tcpSocket: {port: "a_b"}}`),
			`spec.probes[0].probe.tcpSocket.port: Invalid value: "a_b": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)`},
		"no command":          {handling(`{exec: {}}`), `spec.probes[0].probe: Invalid value: exec.command must not be empty`},
		"a negative period":   {handling(`{exec: {command: [a]}, periodSeconds: -1}`), `spec.probes[0].probe: Invalid value: initialDelaySeconds, timeoutSeconds, periodSeconds, successThreshold and failureThreshold must not be negative`},
		"a policy of nothing": {marking(`{state: Succeeded}`), `spec.probes[0].markerPolicy[0]: Invalid value: at least one label or annotation must be set`},
		"a policy for a state that does not exist": {marking(`{state: Unknown, labels: {a: b}}`),
			`[spec.probes[0].markerPolicy[0].state: Unsupported value: "Unknown": supported values: "Succeeded", "Failed"` + unchecked},
		"two policies for a state": {marking(`{state: Failed, labels: {a: b}}, {state: Failed, labels: {a: c}}`),
			`spec.probes[0].markerPolicy[1]: Duplicate value: {"state":"Failed"}`},
		"a label that is none": {marking(`{state: Failed, labels: {a: "b c"}}`),
			`spec.probes[0].markerPolicy[0].labels: Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := server.Client.Create(t.Context(), marker(t, namespace, tc.spec))
			if err == nil {
				t.Fatal("it was let in")
			}
			got := err.Error()
			for _, prefix := range []string{`admission webhook "vpodprobemarker.kb.io" denied the request: `, `PodProbeMarker.apps.kruise.io "demo" is invalid: `} {
				got = strings.TrimPrefix(got, prefix)
			}
			if got != tc.want {
				t.Errorf("message\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestTheSelectorStays(t *testing.T) {
	m := marker(t, server.Namespace(t), selecting(probe+"}"))
	create(t, m)
	err := server.Client.Patch(t.Context(), m, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"selector":{"matchLabels":{"app":"other"}}}}`)))
	if err == nil || !strings.HasSuffix(err.Error(), `spec.selector: Invalid value: selector is immutable: what was written on pods would stay there; create another PodProbeMarker instead`) {
		t.Errorf("message %v", err)
	}
}

func TestAccepted(t *testing.T) {
	for name, spec := range map[string]string{
		"each handler": selecting(
			`{name: a, containerName: main, probe: {exec: {command: [a]}}, podConditionType: A}`,
			`{name: b, containerName: main, probe: {httpGet: {path: /, scheme: HTTPS, port: http, httpHeaders: [{name: X-A, value: b}]}}, podConditionType: example.org/B}`,
			`{name: c, containerName: main, probe: {tcpSocket: {port: 80}, periodSeconds: 3, timeoutSeconds: 2, successThreshold: 2, failureThreshold: 4, initialDelaySeconds: 9}, podConditionType: C}`),
		"both policies": marking(`{state: Succeeded, labels: {a: b}}, {state: Failed, annotations: {a: "any text"}}`),
	} {
		t.Run(name, func(t *testing.T) { create(t, marker(t, server.Namespace(t), spec)) })
	}
}
