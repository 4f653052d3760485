package inplace_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/plan/inplace"
)

// quantities is a list of resources: names and values by turns.
func quantities(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

// resources gives a container requests and limits.
func resources(container int, requests, limits corev1.ResourceList) func(*corev1.PodTemplateSpec) {
	return func(t *corev1.PodTemplateSpec) {
		t.Spec.Containers[container].Resources = corev1.ResourceRequirements{Requests: requests, Limits: limits}
	}
}

// restartsForCPU makes a container restart when its cpu is resized.
func restartsForCPU(container int) func(*corev1.PodTemplateSpec) {
	return func(t *corev1.PodTemplateSpec) {
		t.Spec.Containers[container].ResizePolicy = []corev1.ContainerResizePolicy{
			{ResourceName: corev1.ResourceMemory, RestartPolicy: corev1.NotRequired},
			{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.RestartContainer},
		}
	}
}

func label(key, value string) func(*corev1.PodTemplateSpec) {
	return func(t *corev1.PodTemplateSpec) { t.Labels[key] = value }
}

var everything = inplace.Options{Resources: true, EnvFromMetadata: true}

func TestOptionsWidenWhatCanBeChangedInPlace(t *testing.T) {
	type T = *corev1.PodTemplateSpec
	type R = corev1.ResourceRequirements
	both := func(cpu, memory string) corev1.ResourceList { return quantities("cpu", cpu, "memory", memory) }
	intake := envFrom(0, "metadata.labels['tier']")
	for name, test := range map[string]struct {
		from, to T
		want     inplace.Change
		restarts bool
	}{
		"a request": {
			template(resources(0, both("1", "1Gi"), nil)), template(resources(0, both("1500m", "1Gi"), nil)),
			inplace.Change{Resources: map[string]R{"web": {Requests: quantities("cpu", "1500m")}}}, false},
		"a request and a limit of a guaranteed pod": {
			template(resources(0, both("1", "1Gi"), both("1", "1Gi")), resources(1, both("1", "1Gi"), both("1", "1Gi"))),
			template(resources(0, both("1", "2Gi"), both("1", "2Gi")), resources(1, both("1", "1Gi"), both("1", "1Gi"))),
			inplace.Change{Resources: map[string]R{"web": {Requests: quantities("memory", "2Gi"), Limits: quantities("memory", "2Gi")}}}, false},
		"a limit whose request is not spelled out: the pod has it all the same": {
			template(resources(0, nil, both("1", "1Gi"))), template(resources(0, nil, both("2", "1Gi"))),
			inplace.Change{Resources: map[string]R{"web": {Requests: quantities("cpu", "2"), Limits: quantities("cpu", "2")}}}, false},
		"a request that is spelled out now": {
			template(resources(0, nil, both("1", "1Gi"))), template(resources(0, both("1", "1Gi"), both("1", "1Gi"))), inplace.Change{}, false},
		"a container that restarts for it": {
			template(resources(1, both("1", "1Gi"), nil), restartsForCPU(1)), template(resources(1, both("2", "1Gi"), nil), restartsForCPU(1)),
			inplace.Change{Resources: map[string]R{"side": {Requests: quantities("cpu", "2")}}, ResizeRestarts: true}, true},
		"a container that restarts for cpu and gets other memory": {
			template(resources(1, both("1", "1Gi"), nil), restartsForCPU(1)), template(resources(1, both("1", "2Gi"), nil), restartsForCPU(1)),
			inplace.Change{Resources: map[string]R{"side": {Requests: quantities("memory", "2Gi")}}}, false},
		"a label that an environment takes in": {
			template(intake), template(intake, label("tier", "back"), label("app", "other")),
			inplace.Change{
				Labels: map[string]*string{"app": new("other")},
				Env:    map[string]metav1.ObjectMeta{"web": {Labels: map[string]string{"tier": "back"}}}}, true},
		"a label and an annotation that two environments take in": {
			template(intake, envFrom(1, "metadata.labels['tier']"), envFrom(1, "metadata.annotations['note']")),
			template(intake, envFrom(1, "metadata.labels['tier']"), envFrom(1, "metadata.annotations['note']"), label("tier", ""), annotation("note", "two")),
			inplace.Change{Env: map[string]metav1.ObjectMeta{
				"web":  {Labels: map[string]string{"tier": ""}},
				"side": {Labels: map[string]string{"tier": ""}, Annotations: map[string]string{"note": "two"}}}}, true},
		"a new label that an environment asked for before it was there": {
			template(envFrom(0, "metadata.labels['late']")), template(envFrom(0, "metadata.labels['late']"), label("late", "yes")),
			inplace.Change{Env: map[string]metav1.ObjectMeta{"web": {Labels: map[string]string{"late": "yes"}}}}, true},
		"a label that an environment takes in and that is gone restarts nothing": {
			template(intake), template(intake, func(t T) { delete(t.Labels, "tier") }),
			inplace.Change{Labels: map[string]*string{"tier": nil}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := inplace.Compare(overTheWire(t, test.from), overTheWire(t, test.to), everything)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.Restarts() != test.restarts || got.Resizes() != (len(test.want.Resources) > 0) {
				t.Errorf("Restarts = %v, Resizes = %v", got.Restarts(), got.Resizes())
			}
		})
	}
}

func TestAResizeThatKubernetesWouldRefuseIsNotTried(t *testing.T) {
	one := quantities("cpu", "1")
	for name, test := range map[string]struct {
		from, to func(*corev1.PodTemplateSpec)
		options  inplace.Options
		want     string
	}{
		"the option is off": {
			resources(0, one, nil), resources(0, quantities("cpu", "2"), nil), inplace.Options{EnvFromMetadata: true},
			"spec.containers[web].resources (the gate InPlaceWorkloadVerticalScaling is off, or the cluster has no pods/resize)"},
		"a limit more": {
			resources(0, one, nil), resources(0, one, one), everything, "spec.containers[web].resources (limits.cpu cannot be added)"},
		"a request less": {
			resources(0, quantities("cpu", "1", "memory", "1Gi"), nil), resources(0, one, nil), everything,
			"spec.containers[web].resources (requests.memory cannot be removed)"},
		"another resource": {
			resources(0, quantities("example.com/gpu", "1"), nil), resources(0, quantities("example.com/gpu", "2"), nil), everything,
			"spec.containers[web].resources (requests.example.com/gpu is neither cpu nor memory)"},
		"claims": {
			func(t *corev1.PodTemplateSpec) {}, func(t *corev1.PodTemplateSpec) {
				t.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "gpu"}}
			}, everything, "spec.containers[web].resources (claims cannot be changed)"},
		"another QoS class": {
			func(t *corev1.PodTemplateSpec) {
				all := quantities("cpu", "1", "memory", "1Gi")
				t.Spec.InitContainers[0].Resources.Limits = all
				resources(0, quantities("cpu", "500m", "memory", "1Gi"), all)(t)
				resources(1, nil, all)(t)
			},
			func(t *corev1.PodTemplateSpec) {
				all := quantities("cpu", "1", "memory", "1Gi")
				t.Spec.InitContainers[0].Resources.Limits = all
				resources(0, all, all)(t)
				resources(1, nil, all)(t)
			}, everything, "the pod's QoS class, which would change from Burstable to Guaranteed"},
		"from no resources to speak of to some": {
			resources(0, quantities("cpu", "0"), nil), resources(0, one, nil), everything,
			"the pod's QoS class, which would change from BestEffort to Burstable"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := inplace.Compare(overTheWire(t, template(test.from)), overTheWire(t, template(test.to)), test.options)
			if err != nil {
				t.Fatal(err)
			}
			if got.Blocked != test.want {
				t.Errorf("blocked by %q, want %q", got.Blocked, test.want)
			}
		})
	}
}
