package sidecar

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
)

var now = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))

// read reads an object from YAML, strictly.
func read[T any](tb testing.TB, text string) *T {
	tb.Helper()
	out := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), out); err != nil {
		tb.Fatalf("%v in\n%s", err, text)
	}
	return out
}

// set makes a set about pods with app=web. spec is YAML without a selector.
func set(tb testing.TB, name, spec string) *v1beta1.SidecarSet {
	tb.Helper()
	s := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: *read[v1beta1.SidecarSetSpec](tb, spec)}
	s.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	return s
}

func injections(sets ...*v1beta1.SidecarSet) []Injection {
	var out []Injection
	for _, s := range sets {
		out = append(out, Injection{Set: s})
	}
	return out
}

// injected injects sets into a pod whose spec is YAML, and returns the spec, as YAML without what is empty.
func injected(t *testing.T, spec string, sets ...*v1beta1.SidecarSet) string {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web", "main": "app"}}, Spec: *read[corev1.PodSpec](t, spec)}
	if problems := Inject(pod, injections(sets...), Options{Now: now}); len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	return canonical(t, pod.Spec)
}

func canonical(t *testing.T, spec corev1.PodSpec) string {
	t.Helper()
	text, err := yaml.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// the variable that marks a sidecar.
const mark = `{name: IS_INJECTED, value: "true"}`

func TestWhatStandsInThePodAfterwards(t *testing.T) {
	for name, tc := range map[string]struct{ pod, set, want string }{
		"containers stand before those of the pod, or behind them": {
			pod: `{containers: [{name: app}, {name: web}]}`,
			set: `{containers: [{name: log, image: log:1, podInjectPolicy: AfterAppContainer}, {name: mesh, image: mesh:1}, {name: dns}]}`,
			want: `{containers: [{name: mesh, image: mesh:1, env: [` + mark + `]}, {name: dns, env: [` + mark + `]}, {name: app}, {name: web},
				{name: log, image: log:1, env: [` + mark + `]}]}`,
		},
		"one that is there is replaced where it stands": {
			pod:  `{containers: [{name: app}, {name: mesh, image: mesh:0, command: [sh]}, {name: web}]}`,
			set:  `{containers: [{name: mesh, image: mesh:1}]}`,
			want: `{containers: [{name: app}, {name: mesh, image: mesh:1, env: [` + mark + `]}, {name: web}]}`,
		},
		"init containers are sorted by name, behind those of the pod": {
			pod: `{initContainers: [{name: setup}], containers: [{name: app}]}`,
			set: `{initContainers: [{name: z, restartPolicy: Always}, {name: b}, {name: a, podInjectPolicy: BeforeAppContainer}]}`,
			want: `{initContainers: [{name: a, env: [` + mark + `]}, {name: setup}, {name: b, env: [` + mark + `]}, {name: z, restartPolicy: Always, env: [` + mark + `]}],
				containers: [{name: app}]}`,
		},
		"volumes and pull secrets are added, and the pod's own stay": {
			pod: `{volumes: [{name: data, emptyDir: {medium: Memory}}], imagePullSecrets: [{name: a}], containers: [{name: app}]}`,
			set: `{volumes: [{name: data, emptyDir: {}}, {name: logs, emptyDir: {}}], imagePullSecrets: [{name: a}, {name: b}]}`,
			want: `{volumes: [{name: data, emptyDir: {medium: Memory}}, {name: logs, emptyDir: {}}], imagePullSecrets: [{name: a}, {name: b}],
				containers: [{name: app}]}`,
		},
		"mounts are shared, but those of the token, and what the sidecar mounts itself": {
			pod: `{containers: [
				{name: app, env: [{name: HOST, value: h}, {name: OTHER, value: o}], volumeMounts: [{name: data, mountPath: /data, subPathExpr: $(HOST)/x}, {name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]},
				{name: web, volumeMounts: [{name: more, mountPath: /data}, {name: etc, mountPath: /etc/x}]}]}`,
			set: `{containers: [{name: log, podInjectPolicy: AfterAppContainer, shareVolumePolicy: {type: enabled}, volumeMounts: [{name: own, mountPath: /etc/x}]}]}`,
			want: `{containers: [
				{name: app, env: [{name: HOST, value: h}, {name: OTHER, value: o}], volumeMounts: [{name: data, mountPath: /data, subPathExpr: $(HOST)/x}, {name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]},
				{name: web, volumeMounts: [{name: more, mountPath: /data}, {name: etc, mountPath: /etc/x}]},
				{name: log, env: [` + mark + `, {name: HOST, value: h}], volumeMounts: [{name: own, mountPath: /etc/x}, {name: data, mountPath: /data, subPathExpr: $(HOST)/x}]}]}`,
		},
		"an init container shares mounts, too": {
			pod:  `{containers: [{name: app, volumeMounts: [{name: data, mountPath: /data}]}]}`,
			set:  `{initContainers: [{name: setup, shareVolumePolicy: {type: enabled}}]}`,
			want: `{initContainers: [{name: setup, env: [` + mark + `], volumeMounts: [{name: data, mountPath: /data}]}], containers: [{name: app, volumeMounts: [{name: data, mountPath: /data}]}]}`,
		},
		"block devices are shared": {
			pod: `{containers: [{name: app, volumeDevices: [{name: a, devicePath: /dev/a}, {name: b, devicePath: /dev/b}]}]}`,
			set: `{containers: [{name: log, shareVolumeDevicePolicy: {type: enabled}, volumeDevices: [{name: own, devicePath: /dev/b}]}]}`,
			want: `{containers: [{name: log, env: [` + mark + `], volumeDevices: [{name: own, devicePath: /dev/b}, {name: a, devicePath: /dev/a}]},
				{name: app, volumeDevices: [{name: a, devicePath: /dev/a}, {name: b, devicePath: /dev/b}]}]}`,
		},
		"variables are copied, and the sidecar's own win": {
			pod: `{containers: [{name: app, env: [{name: A, value: "1"}, {name: B, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: C, value: "3"}]}, {name: web, env: [{name: D, value: "4"}]}]}`,
			set: `{containers: [{name: log, podInjectPolicy: AfterAppContainer, env: [{name: C, value: own}],
				transferEnv: [{sourceContainerName: app, envName: A, envNames: [B, C, NONE]}, {sourceContainerName: web, envName: D}, {sourceContainerName: gone, envName: A}]}]}`,
			want: `{containers: [{name: app, env: [{name: A, value: "1"}, {name: B, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: C, value: "3"}]}, {name: web, env: [{name: D, value: "4"}]},
				{name: log, env: [` + mark + `, {name: A, value: "1"}, {name: B, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: D, value: "4"}, {name: C, value: own}]}]}`,
		},
		"the container to copy from can be named by the pod": {
			pod: `{containers: [{name: app, env: [{name: A, value: "1"}]}, {name: web, env: [{name: A, value: "2"}]}]}`,
			set: `{containers: [{name: log, podInjectPolicy: AfterAppContainer, transferEnv: [
				{sourceContainerNameFrom: {fieldRef: {fieldPath: "metadata.labels['main']"}}, envName: A}, {sourceContainerNameFrom: {fieldRef: {fieldPath: "metadata.annotations['none']"}}, envName: A}]}]}`,
			want: `{containers: [{name: app, env: [{name: A, value: "1"}]}, {name: web, env: [{name: A, value: "2"}]}, {name: log, env: [` + mark + `, {name: A, value: "1"}]}]}`,
		},
		"a sidecar takes nothing from other sidecars": {
			pod: `{containers: [{name: mesh, env: [` + mark + `, {name: A, value: "1"}], volumeMounts: [{name: data, mountPath: /data}]}, {name: app}]}`,
			set: `{containers: [{name: log, shareVolumePolicy: {type: enabled}, transferEnv: [{sourceContainerName: mesh, envName: A}]}]}`,
			want: `{containers: [{name: log, env: [` + mark + `]},
				{name: mesh, env: [` + mark + `, {name: A, value: "1"}], volumeMounts: [{name: data, mountPath: /data}]}, {name: app}]}`,
		},
		"a twin waits for a hot upgrade": {
			pod: `{containers: [{name: app}]}`,
			set: `{containers: [{name: mesh, image: mesh:1, upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: "empty:1"}}]}`,
			want: `{containers: [
				{name: mesh-1, image: mesh:1, env: [
					{name: SIDECARSET_VERSION, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: "metadata.annotations['version.sidecarset.kruise.io/mesh-1']"}}},
					{name: SIDECARSET_VERSION_ALT, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: "metadata.annotations['versionalt.sidecarset.kruise.io/mesh-1']"}}}, ` + mark + `]},
				{name: mesh-2, image: "empty:1", env: [
					{name: SIDECARSET_VERSION, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: "metadata.annotations['version.sidecarset.kruise.io/mesh-2']"}}},
					{name: SIDECARSET_VERSION_ALT, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: "metadata.annotations['versionalt.sidecarset.kruise.io/mesh-2']"}}}, ` + mark + `]},
				{name: app}]}`,
		},
		"resources follow from those of the pod": {
			pod: `{containers: [
				{name: app, resources: {requests: {cpu: "1", memory: 1Gi}, limits: {cpu: "2"}}}, {name: app-2, resources: {requests: {cpu: 300m}, limits: {cpu: 500m, memory: 1Gi}}}, {name: web, resources: {requests: {cpu: "8"}}}]}`,
			set: `{containers: [{name: log, resourcesPolicy: {targetContainersMode: sum, targetContainersNameRegex: "app.*", resourcesExpr: {
				limits: {cpu: "max(cpu*50%, 50m)", memory: "max(memory/2, 10Mi)"}, requests: {cpu: "cpu / 3", memory: 100Mi + 1}}}}]}`,
			want: `{containers: [
				{name: log, env: [` + mark + `], resources: {requests: {cpu: 434m, memory: "104857601"}, limits: {cpu: 1250m}}},
				{name: app, resources: {requests: {cpu: "1", memory: 1Gi}, limits: {cpu: "2"}}}, {name: app-2, resources: {requests: {cpu: 300m}, limits: {cpu: 500m, memory: 1Gi}}}, {name: web, resources: {requests: {cpu: "8"}}}]}`,
		},
		"of several the largest counts, if the set says so": {
			pod:  `{containers: [{name: app, resources: {requests: {cpu: "1"}}}, {name: web, resources: {requests: {cpu: "3"}}}]}`,
			set:  `{containers: [{name: log, podInjectPolicy: AfterAppContainer, resourcesPolicy: {targetContainersMode: max, resourcesExpr: {requests: {cpu: cpu*10%}, limits: {memory: 200Mi}}}}]}`,
			want: `{containers: [{name: app, resources: {requests: {cpu: "1"}}}, {name: web, resources: {requests: {cpu: "3"}}}, {name: log, env: [` + mark + `], resources: {requests: {cpu: 300m}, limits: {memory: 200Mi}}}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, want := injected(t, tc.pod, set(t, "s", tc.set)), canonical(t, *read[corev1.PodSpec](t, tc.want))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSeveralSetsComeInTheOrderOfTheirNames(t *testing.T) {
	b := set(t, "b", `{containers: [{name: "1"}, {name: "4"}], initContainers: [{name: "6"}]}`)
	a := set(t, "a", `{containers: [{name: "3"}, {name: "2"}], initContainers: [{name: "7"}, {name: "5"}]}`)
	names := func(o Options) string {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
		if problems := Inject(pod, injections(b, a), o); len(problems) > 0 {
			t.Fatal(problems)
		}
		var out []string
		for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
			out = append(out, c.Name)
		}
		return strings.Join(out, " ")
	}
	if got, want := names(Options{}), "5 6 7 3 2 1 4 app"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := names(Options{SortByName: true}), "5 6 7 1 2 3 4 app"; got != want {
		t.Errorf("sorted by name: got %s, want %s", got, want)
	}
}

func TestThePodSaysWhatWasInjected(t *testing.T) {
	mesh := set(t, "mesh", `{containers: [{name: proxy, upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: "e:1"}}, {name: b}], initContainers: [{name: native, restartPolicy: Always}, {name: once}]}`)
	mesh.Annotations = map[string]string{v1beta1.SidecarSetHashKey: "h1", v1beta1.SidecarSetHashWithoutImageKey: "h2"}
	logs := set(t, "logs", `{volumes: [{name: v}]}`)
	logs.Annotations = map[string]string{v1beta1.SidecarSetHashKey: "h3", v1beta1.SidecarSetHashWithoutImageKey: "h4"}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		"mine": "1",
		// As a pod has them that was copied from another one.
		v1beta1.SidecarSetInjectedListKey:       "gone",
		v1beta1.SidecarSetInPlaceUpdateStateKey: `{"gone":{}}`,
		v1beta1.SidecarSetHashKey:               `{"gone":{"hash":"x"}}`,
	}}}
	if problems := Inject(pod, []Injection{{Set: mesh, Revision: "mesh-1"}, {Set: logs}}, Options{Now: now}); len(problems) > 0 {
		t.Fatal(problems)
	}
	want := map[string]string{
		"mine":                                 "1",
		"kruise.io/sidecarset-injected-list":   "logs,mesh",
		"kruise.io/sidecarset-hash":            `{"logs":{"updateTimestamp":"2026-01-02T03:04:05Z","hash":"h3","sidecarSetName":"logs","sidecarList":[]},"mesh":{"updateTimestamp":"2026-01-02T03:04:05Z","hash":"h1","sidecarSetName":"mesh","sidecarList":["b","native","proxy"],"controllerRevision":"mesh-1"}}`,
		"version.sidecarset.kruise.io/proxy-1": "1", "versionalt.sidecarset.kruise.io/proxy-1": "0",
		"version.sidecarset.kruise.io/proxy-2": "0", "versionalt.sidecarset.kruise.io/proxy-2": "1",
		"kruise.io/sidecarset-working-hotupgrade-container": `{"proxy":"proxy-1"}`,
	}
	want["kruise.io/sidecarset-hash-without-image"] = strings.NewReplacer(`"h3"`, `"h4"`, `"h1"`, `"h2"`).Replace(want["kruise.io/sidecarset-hash"])
	if diff := cmp.Diff(want, pod.Annotations); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnnotationsAreKeptOverwrittenOrMerged(t *testing.T) {
	s := set(t, "s", `{patchPodMetadata: [
		{annotations: {kept: new, added: new}}, {patchPolicy: Overwrite, annotations: {replaced: new}},
		{patchPolicy: MergePatchJson, annotations: {merged: '{"a": 2, "b": null, "d": {"e": 1}}', fresh: '{"a":1}'}}]}`)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"kept": "old", "replaced": "old", "merged": `{"a": 1, "b": 1, "c": 1}`}}}
	if problems := Inject(pod, injections(s), Options{}); len(problems) > 0 {
		t.Fatal(problems)
	}
	for key, want := range map[string]string{"kept": "old", "added": "new", "replaced": "new", "merged": `{"a":2,"c":1,"d":{"e":1}}`, "fresh": `{"a":1}`} {
		if got := pod.Annotations[key]; got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
}

func TestWhatCannotBeInjectedIsAProblemAndNothingOfItIsInThePod(t *testing.T) {
	good := `{containers: [{name: log}]}`
	for name, tc := range map[string]struct{ spec, want string }{
		"no container is a target":      {`{volumes: [{name: v}], containers: [{name: x, resourcesPolicy: {targetContainersMode: sum, targetContainersNameRegex: "db.*", resourcesExpr: {requests: {cpu: cpu}}}}]}`, "container x: resourcesPolicy: none of the pod's containers (app) matches targetContainersNameRegex ^(?:db.*)$"},
		"an expression below zero":      {`{containers: [{name: x, resourcesPolicy: {targetContainersMode: sum, resourcesExpr: {requests: {cpu: cpu - 1}}}}]}`, "container x: resourcesPolicy.resourcesExpr.requests.cpu: cpu - 1 is less than nothing: -1.000"},
		"a division by nothing":         {`{containers: [{name: x, resourcesPolicy: {targetContainersMode: sum, resourcesExpr: {requests: {cpu: 1/cpu}}}}]}`, "container x: resourcesPolicy.resourcesExpr.requests.cpu: 1/cpu of 0: division by 0"},
		"too much":                      {`{containers: [{name: x, resourcesPolicy: {targetContainersMode: sum, resourcesExpr: {limits: {memory: 4Ei*9}}}}]}`, "container x: resourcesPolicy.resourcesExpr.limits.memory: 4Ei*9 is too much: 41505174165846491136"},
		"a merge into what is no JSON":  {`{patchPodMetadata: [{patchPolicy: MergePatchJson, annotations: {a: '{"a":1}'}}]}`, `patchPodMetadata: annotation a: merge {"a":1} into no JSON: Invalid JSON Document`},
		"a container of another set":    {`{containers: [{name: log}]}`, "container log: SidecarSet a has one of that name and is injected, too"},
		"an init container of that one": {`{initContainers: [{name: log}]}`, "container log: SidecarSet a has one of that name and is injected, too"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"a": "no JSON"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
			alone := pod.DeepCopy()
			problems := Inject(pod, injections(set(t, "b", tc.spec), set(t, "a", good)), Options{Now: now})
			if len(problems) != 1 || problems[0].Set != "b" || problems[0].Err.Error() != tc.want {
				t.Errorf("got %v\nwant %s", problems, tc.want)
			}
			if problems := Inject(alone, injections(set(t, "a", good)), Options{Now: now}); len(problems) > 0 {
				t.Fatal(problems)
			}
			if diff := cmp.Diff(alone, pod); diff != "" {
				t.Errorf("something of it is in the pod (-without +with):\n%s", diff)
			}
		})
	}
}
