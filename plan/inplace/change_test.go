package inplace_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/plan/inplace"
)

// template has two containers and an init container; edits make it another.
func template(edits ...func(*corev1.PodTemplateSpec)) *corev1.PodTemplateSpec {
	t := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Labels:      map[string]string{"app": "demo", "tier": "front"},
			Annotations: map[string]string{"note": "one"},
		},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "init", Image: "init:1"}},
			Containers:     []corev1.Container{{Name: "web", Image: "web:1"}, {Name: "side", Image: "side:1"}},
		},
	}
	for _, edit := range edits {
		edit(t)
	}
	return t
}

func image(name, image string) func(*corev1.PodTemplateSpec) {
	return func(t *corev1.PodTemplateSpec) {
		for i := range t.Spec.Containers {
			if t.Spec.Containers[i].Name == name {
				t.Spec.Containers[i].Image = image
			}
		}
	}
}

func annotation(key, value string) func(*corev1.PodTemplateSpec) {
	return func(t *corev1.PodTemplateSpec) { t.Annotations[key] = value }
}

// envFrom makes a container take an environment variable from the pod.
func envFrom(container int, path string) func(*corev1.PodTemplateSpec) {
	return func(t *corev1.PodTemplateSpec) {
		t.Spec.Containers[container].Env = append(t.Spec.Containers[container].Env, corev1.EnvVar{
			Name: "FROM_POD", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}},
		})
	}
}

func TestCompareFindsWhatCanBeChangedInPlace(t *testing.T) {
	type T = *corev1.PodTemplateSpec
	for name, test := range map[string]struct {
		from, to T
		want     inplace.Change
	}{
		"nothing": {template(), template(), inplace.Change{}},
		"one image": {
			template(), template(image("side", "side:2")),
			inplace.Change{Images: map[string]string{"side": "side:2"}}},
		"every image": {
			template(), template(image("side", "side:2"), image("web", "web:2")),
			inplace.Change{Images: map[string]string{"side": "side:2", "web": "web:2"}}},
		"a label with another value": {
			template(), template(func(t T) { t.Labels["tier"] = "back" }),
			inplace.Change{Labels: map[string]*string{"tier": new("back")}}},
		"a label that is new, one that is gone, and one that is empty now": {
			template(), template(func(t T) { t.Labels = map[string]string{"app": "", "new": "yes"} }),
			inplace.Change{Labels: map[string]*string{"app": new(""), "new": new("yes"), "tier": nil}}},
		"annotations with odd characters": {
			template(), template(annotation("example.com/a~b", "{}")),
			inplace.Change{Annotations: map[string]*string{"example.com/a~b": new("{}")}}},
		"the first annotations of all": {
			template(func(t T) { t.Annotations = nil }), template(),
			inplace.Change{Annotations: map[string]*string{"note": new("one")}}},
		"all metadata at once": {
			template(func(t T) { t.ObjectMeta = metav1.ObjectMeta{} }), template(),
			inplace.Change{
				Labels:      map[string]*string{"app": new("demo"), "tier": new("front")},
				Annotations: map[string]*string{"note": new("one")}}},
		"metadata and an image together": {
			template(), template(annotation("note", "two"), image("web", "web:2")),
			inplace.Change{Images: map[string]string{"web": "web:2"}, Annotations: map[string]*string{"note": new("two")}}},
		"quantities and empty lists that are written in another way are no change": {
			template(func(t T) {
				t.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("1000m")}
			}),
			template(func(t T) {
				t.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("1")}
				t.Spec.Containers[0].Env = []corev1.EnvVar{}
			}),
			inplace.Change{}},
		"a label that no environment takes in": {
			template(envFrom(0, "metadata.labels['app']")), template(envFrom(0, "metadata.labels['app']"), func(t T) { t.Labels["tier"] = "back" }),
			inplace.Change{Labels: map[string]*string{"tier": new("back")}}},
		"an annotation with the key of a label that an environment takes in": {
			template(envFrom(0, "metadata.labels['note']")), template(envFrom(0, "metadata.labels['note']"), annotation("note", "two")),
			inplace.Change{Annotations: map[string]*string{"note": new("two")}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := inplace.Compare(overTheWire(t, test.from), overTheWire(t, test.to), inplace.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !got.Possible() {
				t.Fatalf("blocked by %s", got.Blocked)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.Restarts() != (len(test.want.Images) > 0) {
				t.Errorf("Restarts = %v", got.Restarts())
			}
		})
	}
}

// overTheWire is the template as it comes out of a ControllerRevision or an object.
func overTheWire(t *testing.T, template *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	t.Helper()
	text, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	out := &corev1.PodTemplateSpec{}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCompareSaysInWordsWhatCannotBeChangedInPlace(t *testing.T) {
	type T = *corev1.PodTemplateSpec
	for name, test := range map[string]struct {
		from, to T
		want     string
	}{
		"an environment": {
			template(), template(func(t T) { t.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "b"}} }),
			"spec.containers[web].env"},
		"several fields, each once and in order": {
			template(), template(func(t T) {
				t.Spec.HostNetwork = true
				t.Spec.Containers[1].Env = []corev1.EnvVar{{Name: "A"}, {Name: "B"}}
				t.Spec.Containers[1].Args = []string{"x", "y"}
			}),
			"spec.containers[side].args, spec.containers[side].env, spec.hostNetwork"},
		"an image of an init container": {
			template(), template(func(t T) { t.Spec.InitContainers[0].Image = "init:2" }),
			"spec.initContainers[init].image"},
		"a container more": {
			template(), template(func(t T) { t.Spec.Containers = append(t.Spec.Containers, corev1.Container{Name: "third"}) }),
			"spec.containers[third]"},
		"a container less": {
			template(), template(func(t T) { t.Spec.Containers = t.Spec.Containers[:1] }),
			"spec.containers[side]"},
		"a container less, and another image": {
			template(), template(func(t T) { t.Spec.Containers = t.Spec.Containers[:1] }, image("web", "web:2")),
			"spec.containers[side]"},
		"containers in another order": {
			template(), template(func(t T) { t.Spec.Containers[0], t.Spec.Containers[1] = t.Spec.Containers[1], t.Spec.Containers[0] }),
			"spec.containers[side].name, spec.containers[web].name"},
		"an image that is left out": {
			template(), template(image("web", "")),
			"spec.containers[web].image"},
		"a first image": {
			template(image("web", "")), template(),
			"spec.containers[web].image"},
		"a part of a struct": {
			template(), template(func(t T) { t.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(5))} }),
			"spec.securityContext"},
		"a map of the spec": {
			template(), template(func(t T) { t.Spec.NodeSelector = map[string]string{"a/b": "c"} }),
			"spec.nodeSelector"},
		"metadata that is neither label nor annotation": {
			template(), template(func(t T) { t.Finalizers = []string{"example.com/wait"} }),
			"metadata.finalizers"},
		"such metadata where there was none at all": {
			template(func(t T) { t.ObjectMeta = metav1.ObjectMeta{} }),
			template(func(t T) { t.ObjectMeta = metav1.ObjectMeta{Finalizers: []string{"example.com/wait"}} }),
			"metadata.finalizers"},
		"resources": {
			template(), template(func(t T) {
				t.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"memory": resource.MustParse("1Gi")}
			}),
			"spec.containers[web].resources"},
		"a label that an environment takes in": {
			template(envFrom(1, "metadata.labels['tier']")), template(envFrom(1, "metadata.labels['tier']"), func(t T) { t.Labels["tier"] = "back" }),
			"metadata.labels['tier'], which spec.containers[side].env takes in"},
		"an annotation that an environment takes in and that is gone": {
			template(envFrom(0, "metadata.annotations['note']")), template(envFrom(0, "metadata.annotations['note']"), func(t T) { t.Annotations = nil }),
			"metadata.annotations['note'], which spec.containers[web].env takes in"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := inplace.Compare(overTheWire(t, test.from), overTheWire(t, test.to), inplace.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Possible() || got.Blocked != test.want {
				t.Errorf("blocked by %q, want %q", got.Blocked, test.want)
			}
		})
	}
}

func TestADefaultThatOnlyOneTemplateWritesOutIsNoChange(t *testing.T) {
	defaults := func(t *corev1.PodTemplateSpec) {
		t.Spec.RestartPolicy, t.Spec.SecurityContext = corev1.RestartPolicyAlways, &corev1.PodSecurityContext{}
		for i := range t.Spec.Containers {
			t.Spec.Containers[i].TerminationMessagePath, t.Spec.Containers[i].ImagePullPolicy = "/dev/termination-log", corev1.PullIfNotPresent
		}
	}
	for name, test := range map[string]struct{ from, to *corev1.PodTemplateSpec }{
		"written out before": {template(defaults), template(image("web", "web:2"))},
		"written out now":    {template(), template(defaults, image("web", "web:2"))},
		"written out, with an image whose default is another": {
			template(defaults), template(defaults, image("web", "web:2"), func(t *corev1.PodTemplateSpec) { t.Spec.Containers[1].Image = "side:latest" }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			change, err := inplace.Compare(test.from, test.to, inplace.Options{})
			if err != nil || !change.Possible() || change.Images["web"] != "web:2" {
				t.Errorf("%+v, %v; want the image alone to change", change, err)
			}
		})
	}
}
