package sidecar

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
)

var (
	words     = rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
	variables = rapid.SampledFrom([]string{"A", "B", "C"})
)

func container(t *rapid.T, name string) corev1.Container {
	c := corev1.Container{Name: name, Image: words.Draw(t, "image")}
	for range rapid.IntRange(0, 2).Draw(t, "env") {
		if e := variables.Draw(t, "variable"); !slices.ContainsFunc(c.Env, func(has corev1.EnvVar) bool { return has.Name == e }) {
			c.Env = append(c.Env, corev1.EnvVar{Name: e, Value: words.Draw(t, "value")})
		}
	}
	if rapid.Bool().Draw(t, "mounts") {
		c.VolumeMounts = []corev1.VolumeMount{{Name: words.Draw(t, "volume"), MountPath: "/" + words.Draw(t, "path"), SubPathExpr: "$(A)"}}
	}
	if rapid.Bool().Draw(t, "resources") {
		c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: *resource.NewMilliQuantity(rapid.Int64Range(0, 9999).Draw(t, "cpu"), resource.DecimalSI)}
	}
	return c
}

func anySidecar(t *rapid.T, name string) v1beta1.SidecarContainer {
	s := v1beta1.SidecarContainer{Container: container(t, name)}
	s.PodInjectPolicy = rapid.SampledFrom([]v1beta1.PodInjectPolicyType{"", v1beta1.BeforeAppContainerType, v1beta1.AfterAppContainerType}).Draw(t, "place")
	s.ShareVolumePolicy.Type = rapid.SampledFrom([]v1beta1.ShareVolumePolicyType{"", v1beta1.ShareVolumePolicyEnabled}).Draw(t, "share")
	if rapid.Bool().Draw(t, "transfer") {
		s.TransferEnv = []v1beta1.TransferEnvVar{{SourceContainerName: words.Draw(t, "source"), EnvNames: []string{"A", "B"}}}
	}
	if rapid.IntRange(0, 3).Draw(t, "policy") == 0 {
		s.Resources = corev1.ResourceRequirements{}
		s.ResourcesPolicy = &v1beta1.ResourcesPolicy{TargetContainersMode: v1beta1.TargetContainersModeSum, TargetContainersNameRegex: "[ab]",
			ResourcesExpr: v1beta1.ResourcesExpr{Requests: &v1beta1.ResourceExprRequests{CPU: "cpu*50%"}}}
	}
	return s
}

// anySets makes sets, whose sidecars may have names of the pod's containers and of each other.
func anySets(t *rapid.T) []Injection {
	var out []Injection
	for i := range rapid.IntRange(0, 4).Draw(t, "sets") {
		s := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("set", i)}}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "x", "y", "z"}), 0, 2, rapid.ID).Draw(t, "containers") {
			c := anySidecar(t, name)
			if rapid.IntRange(0, 3).Draw(t, "hot") == 0 {
				c.UpgradeStrategy = v1beta1.SidecarContainerUpgradeStrategy{UpgradeType: v1beta1.SidecarContainerHotUpgrade, HotUpgradeEmptyImage: "empty"}
			}
			s.Spec.Containers = append(s.Spec.Containers, c)
		}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"i", "j"}), 0, 2, rapid.ID).Draw(t, "inits") {
			c := anySidecar(t, name)
			if rapid.Bool().Draw(t, "native") {
				c.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
			}
			s.Spec.InitContainers = append(s.Spec.InitContainers, c)
		}
		for _, name := range rapid.SliceOfNDistinct(words, 0, 2, rapid.ID).Draw(t, "volumes") {
			s.Spec.Volumes = append(s.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: s.Name}}})
		}
		for range rapid.IntRange(0, 2).Draw(t, "patches") {
			s.Spec.PatchPodMetadata = append(s.Spec.PatchPodMetadata, v1beta1.SidecarSetPatchPodMetadata{
				Annotations: map[string]string{words.Draw(t, "key"): fmt.Sprintf(`{%q:%d}`, words.Draw(t, "field"), i)},
				PatchPolicy: rapid.SampledFrom([]v1beta1.SidecarSetPatchPolicyType{"Retain", "Overwrite", "MergePatchJson"}).Draw(t, "policy"),
			})
		}
		out = append(out, Injection{Set: s, Revision: rapid.SampledFrom([]string{"", "r1"}).Draw(t, "revision")})
	}
	return out
}

func anyPod(t *rapid.T) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: rapid.MapOfN(words, rapid.SampledFrom([]string{`{"z":1}`, "text"}), 0, 2).Draw(t, "annotations")}}
	for _, name := range rapid.SliceOfNDistinct(words, 1, 4, rapid.ID).Draw(t, "containers") {
		pod.Spec.Containers = append(pod.Spec.Containers, container(t, name))
	}
	for _, name := range rapid.SliceOfNDistinct(words, 0, 2, rapid.ID).Draw(t, "volumes") {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name})
	}
	if rapid.Bool().Draw(t, "inits") {
		pod.Spec.InitContainers = []corev1.Container{container(t, "i"), container(t, "own")}
	}
	return pod
}

func TestInjectingTwiceAndInAnyOrderGivesTheSamePod(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pod, sets := anyPod(t), anySets(t)
		o := Options{Now: now, SortByName: rapid.Bool().Draw(t, "sort")}
		once := pod.DeepCopy()
		problems := Inject(once, sets, o)
		other := pod.DeepCopy()
		permuted := Inject(other, rapid.Permutation(sets).Draw(t, "permuted"), o)
		if diff := cmp.Diff(once, other); diff != "" || fmt.Sprint(problems) != fmt.Sprint(permuted) {
			t.Fatalf("another order makes another pod, or other problems (%v, %v):\n%s", problems, permuted, diff)
		}
		if len(problems) > 0 {
			return // then the pod is refused, or it is sent again with the sets that are left
		}
		twice := once.DeepCopy()
		Inject(twice, sets, Options{Now: metav1.NewTime(now.Add(1e9)), SortByName: o.SortByName})
		if diff := cmp.Diff(once, twice); diff != "" {
			t.Fatalf("a second time (-once +twice):\n%s", diff)
		}
	})
}

func TestWhatThePodsAuthorWroteStaysAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pod, sets := anyPod(t), anySets(t)
		after := pod.DeepCopy()
		problems := Inject(after, sets, Options{Now: now})
		sidecars, overwritten := map[string]bool{}, map[string]bool{}
		for _, in := range sets {
			if slices.ContainsFunc(problems, func(p Problem) bool { return p.Set == in.Set.Name }) {
				continue
			}
			for i := range in.Set.Spec.Containers {
				for _, name := range NamesInPod(&in.Set.Spec.Containers[i]) {
					sidecars[name] = true
				}
			}
			for _, c := range in.Set.Spec.InitContainers {
				sidecars[c.Name] = true
			}
			for _, p := range in.Set.Spec.PatchPodMetadata {
				for key := range p.Annotations {
					overwritten[key] = overwritten[key] || p.PatchPolicy != v1beta1.SidecarSetRetainPatchPolicy
				}
			}
		}
		own := func(list []corev1.Container) (names []string, rest []corev1.Container) {
			for _, c := range list {
				if !sidecars[c.Name] {
					rest = append(rest, c)
				}
				if slices.ContainsFunc(append(slices.Clone(pod.Spec.Containers), pod.Spec.InitContainers...), func(o corev1.Container) bool { return o.Name == c.Name }) {
					names = append(names, c.Name)
				}
			}
			return names, rest
		}
		for _, lists := range [][2][]corev1.Container{{pod.Spec.Containers, after.Spec.Containers}, {pod.Spec.InitContainers, after.Spec.InitContainers}} {
			names, rest := own(lists[0])
			namesAfter, restAfter := own(lists[1])
			if diff := cmp.Diff(rest, restAfter); diff != "" {
				t.Fatalf("containers of the pod changed:\n%s", diff)
			}
			if strings.Join(names, " ") != strings.Join(namesAfter, " ") {
				t.Fatalf("their order changed from %v to %v", names, namesAfter)
			}
		}
		if diff := cmp.Diff(pod.Spec.Volumes, after.Spec.Volumes[:len(pod.Spec.Volumes)], cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("volumes of the pod changed:\n%s", diff)
		}
		for key, value := range pod.Annotations {
			if !overwritten[key] && after.Annotations[key] != value {
				t.Fatalf("annotation %s changed from %s to %s", key, value, after.Annotations[key])
			}
		}
		for name := range sidecars {
			if !slices.ContainsFunc(slices.Concat(after.Spec.Containers, after.Spec.InitContainers), func(c corev1.Container) bool { return c.Name == name }) {
				t.Fatalf("sidecar %s is missing", name)
			}
		}
	})
}
