package share

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"
)

// running is a pod of a workload as an API server sends it: its two containers run, and its token has a volume of its own name.
func running(tb testing.TB, owner types.UID, name string) *corev1.Pod {
	tb.Helper()
	now := metav1.NewTime(time.Unix(1_790_000_000, 0))
	resources := func() corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("64Mi")}}
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, GenerateName: "web-", UID: types.UID("uid-of-" + name), ResourceVersion: "1234", CreationTimestamp: now,
			Labels:          map[string]string{"app": "web", "controller-revision-hash": "web-5f7b9c", "apps.kruise.io/cloneset-instance-id": name},
			Annotations:     map[string]string{"apps.kruise.io/runtime-containers-meta": "{}"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps.kruise.io/v1beta1", Kind: "CloneSet", Name: "web", UID: owner, Controller: new(true), BlockOwnerDeletion: new(true)}},
		},
		Spec: corev1.PodSpec{
			NodeName: "node-1", ServiceAccountName: "default", DeprecatedServiceAccount: "default", SchedulerName: "default-scheduler", EnableServiceLinks: new(true),
			RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: corev1.DNSClusterFirst, Priority: new(int32(0)), TerminationGracePeriodSeconds: new(int64(30)), PreemptionPolicy: new(corev1.PreemptLowerPriority),
			SecurityContext: &corev1.PodSecurityContext{}, ReadinessGates: []corev1.PodReadinessGate{{ConditionType: "InPlaceUpdateReady"}},
			Tolerations: []corev1.Toleration{
				{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: new(int64(300))},
				{Key: "node.kubernetes.io/unreachable", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: new(int64(300))},
			},
			Volumes: []corev1.Volume{{Name: "kube-api-access-" + name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: new(int32(420)), Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{ExpirationSeconds: new(int64(3607)), Path: "token"}},
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
				{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}}}},
			}}}}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, HostIP: "10.0.0.1", HostIPs: []corev1.HostIP{{IP: "10.0.0.1"}}, PodIP: "10.244.0.7", PodIPs: []corev1.PodIP{{IP: "10.244.0.7"}}, StartTime: &now, QOSClass: corev1.PodQOSBurstable,
		},
	}
	for _, kind := range []corev1.PodConditionType{"InPlaceUpdateReady", "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now, ObservedGeneration: 1})
	}
	for _, container := range []string{"app", "neighbour"} {
		image := "registry.example/" + container + ":v1"
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{
			Name: container, Image: image, ImagePullPolicy: "IfNotPresent", TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: "File",
			Env:            []corev1.EnvVar{{Name: "PURPOSE", Value: "measuring"}},
			Ports:          []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
			VolumeMounts:   []corev1.VolumeMount{{Name: "kube-api-access-" + name, ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}},
			Resources:      resources(),
			ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromString("http"), Scheme: "HTTP"}}, PeriodSeconds: 10},
		})
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: container, Image: image, ImageID: image + "@sha256:0123456789abcdef", ContainerID: "containerd://" + container + "-of-" + name, Ready: true, Started: new(true),
			State:              corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
			AllocatedResources: resources().Requests, Resources: new(resources()),
		})
	}
	return sent(tb, pod)
}

// sent is a pod as it is decoded from what an API server sends: every part of it has its own memory.
func sent(tb testing.TB, pod *corev1.Pod) *corev1.Pod {
	tb.Helper()
	wire, err := pod.Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	decoded := &corev1.Pod{}
	if err := decoded.Unmarshal(wire); err != nil {
		tb.Fatal(err)
	}
	return decoded
}

func TestPodsOfOneWorkloadShareWhatTheirTemplateSays(t *testing.T) {
	var pods Pods
	a, b := running(t, "web", "a"), running(t, "web", "b")
	pods.Take(a)
	pods.Take(b)
	ours, theirs := &a.Spec.Containers[1], &b.Spec.Containers[1]
	for name, is := range map[string]bool{
		"resources":   sameMap(ours.Resources.Requests, theirs.Resources.Requests),
		"environment": &ours.Env[0] == &theirs.Env[0],
		"probe":       ours.ReadinessProbe == theirs.ReadinessProbe,
		"image":       unsafe.StringData(ours.Image) == unsafe.StringData(theirs.Image),
		"tolerations": &a.Spec.Tolerations[0] == &b.Spec.Tolerations[0],
		"projections": a.Spec.Volumes[0].Projected == b.Spec.Volumes[0].Projected,
		"owners":      &a.OwnerReferences[0] == &b.OwnerReferences[0],
	} {
		if !is {
			t.Errorf("they do not share their %s", name)
		}
	}
	if cap(b.Spec.Tolerations) != len(b.Spec.Tolerations) {
		t.Error("what is shared has room to append to")
	}
}

func TestAStatusSharesTheResourcesThatItRepeats(t *testing.T) {
	for name, owner := range map[string]types.UID{"of a workload": "web", "of nobody": ""} {
		pod := running(t, owner, "a")
		if owner == "" {
			pod.OwnerReferences = nil
		}
		new(Pods).Take(pod)
		spec, status := pod.Spec.Containers[1].Resources.Requests, pod.Status.ContainerStatuses[1]
		if !sameMap(spec, status.AllocatedResources) || !sameMap(spec, status.Resources.Requests) {
			t.Errorf("a pod %s has the same resources three times", name)
		}
	}
}

func sameMap(a, b corev1.ResourceList) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

// Half of the parts of each pod are those of the pod before, and the others are anything.
func TestAPodStaysWhatItWasAndSoDoOthers(t *testing.T) {
	const seed, pods = 7, 500
	dice := rand.New(rand.NewPCG(seed, seed))
	filler := randfill.NewWithSeed(seed).NilChance(0.3).NumElements(0, 3).MaxDepth(12).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewQuantity(c.Int63n(3), resource.BinarySI)
		},
		func(at *metav1.Time, c randfill.Continue) { at.Time = time.Unix(c.Int63n(3), 0) },
		func(f *metav1.FieldsV1, _ randfill.Continue) { *f = metav1.FieldsV1{} },
	)
	var shared Pods
	var taken, copies []*corev1.Pod
	for i := range pods {
		pod := &corev1.Pod{}
		if i > 0 {
			pod = copies[i-1].DeepCopy()
		}
		for _, part := range parts(pod) {
			if i == 0 || dice.IntN(2) == 0 {
				filler.Fill(part)
			}
		}
		pod.UID = types.UID(fmt.Sprint(dice.IntN(pods)))
		pod.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(fmt.Sprint(dice.IntN(3))), Controller: new(true)}}
		copies = append(copies, pod.DeepCopy())
		shared.Take(pod)
		taken = append(taken, pod)
	}
	for i := range taken {
		if !reflect.DeepEqual(taken[i], copies[i]) {
			t.Fatalf("pod %d of seed %d was changed (-want +got):\n%s", i, seed, cmp.Diff(copies[i], taken[i]))
		}
	}
}

// parts are the fields of the parts of a pod.
func parts(pod *corev1.Pod) []any {
	var all []any
	for _, of := range []any{&pod.ObjectMeta, &pod.Spec, &pod.Status} {
		for i, v := 0, reflect.ValueOf(of).Elem(); i < v.NumField(); i++ {
			all = append(all, v.Field(i).Addr().Interface())
		}
	}
	return all
}

func TestNothingIsKeptOfPodsThatLeftTheCache(t *testing.T) {
	var pods Pods
	for i := range 1000 {
		pods.Take(running(t, types.UID(fmt.Sprint(i)), "a"))
		if i%100 == 0 {
			runtime.GC()
		}
	}
	runtime.GC()
	stays := running(t, "stays", "a")
	pods.Take(stays)
	for i := range 1000 {
		pods.Take(running(t, types.UID(fmt.Sprint(1000+i)), "a"))
		if i%100 == 0 {
			runtime.GC()
		}
	}
	if n := len(pods.models); n > 500 {
		t.Errorf("%d models are kept, of one pod in the cache", n)
	}
	if pods.models["stays"].Value() != stays {
		t.Error("the model of a pod in the cache is gone")
	}
}

// What 1000 pods of a workload take in memory, and what it takes to share.
func BenchmarkTake(b *testing.B) {
	for name, take := range map[string]func(*Pods, *corev1.Pod){"alone": func(*Pods, *corev1.Pod) {}, "sharing": (*Pods).Take} {
		b.Run(name, func(b *testing.B) {
			const many = 1000
			wires := make([][]byte, many)
			for i := range wires {
				wire, err := running(b, "web", fmt.Sprintf("web-%04d", i)).Marshal()
				if err != nil {
					b.Fatal(err)
				}
				wires[i] = wire
			}
			var pods Pods
			cache := make([]*corev1.Pod, many)
			at := 0
			for b.Loop() {
				pod := &corev1.Pod{}
				if err := pod.Unmarshal(wires[at%many]); err != nil {
					b.Fatal(err)
				}
				take(&pods, pod)
				cache[at%many] = pod
				at++
			}
			b.StopTimer()
			with := heap()
			clear(cache)
			without := heap()
			b.ReportMetric(float64(with-without)/float64(min(at, many)), "B/pod")
			runtime.KeepAlive(wires)
		})
	}
}

// heap is what is in use of the heap.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
