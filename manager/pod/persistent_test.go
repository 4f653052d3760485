package pod

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/plan/podwebhook"
)

func storeOf[T client.Object](tb testing.TB, objects ...T) *index.Store[T] {
	tb.Helper()
	indexers := index.Indexers()
	if _, is := any(*new(T)).(*v1beta1.PersistentPodState); is {
		indexers[byTarget().Name] = byTarget().Func()
	}
	indexer := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, indexers)
	for _, o := range objects {
		if err := indexer.Add(o); err != nil {
			tb.Fatal(err)
		}
	}
	return index.Over[T](indexer)
}

// state is a PersistentPodState that was made at a second, of a StatefulSet.
func state(name, apiVersion, target string, second int64) *v1beta1.PersistentPodState {
	s := &v1beta1.PersistentPodState{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: metav1.Unix(second, 0)}}
	s.Spec.TargetReference = v1beta1.TargetReference{APIVersion: apiVersion, Kind: "StatefulSet", Name: target}
	return s
}

func TestAPodIsRememberedByTheOldestObjectOfItsWorkload(t *testing.T) {
	leaving := state("leaving", "apps/v1", "web", 1)
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Unix(9, 0)}
	m := &memory{states: storeOf(t, leaving, state("younger", "apps/v1", "web", 5), state("b", "apps/v1", "web", 3), state("a", "apps/v1beta2", "web", 3),
		state("ours", "apps.kruise.io/v1beta1", "web", 2), state("other", "apps/v1", "other", 1))}
	for name, c := range map[string]struct {
		namespace, apiVersion, kind, owner string
		want                               string
	}{
		"the oldest, and the first by name": {"shop", "apps/v1", "StatefulSet", "web", "a"},
		"of its group":                      {"shop", "apps.kruise.io/v1alpha1", "StatefulSet", "web", "ours"},
		"none in another namespace":         {"home", "apps/v1", "StatefulSet", "web", ""},
		"none of another workload":          {"shop", "apps/v1", "StatefulSet", "api", ""},
		"none of another kind":              {"shop", "apps/v1", "ReplicaSet", "web", ""},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "web-0", OwnerReferences: []metav1.OwnerReference{
				{APIVersion: c.apiVersion, Kind: c.kind, Name: c.owner, Controller: ptr.To(true)},
			}}}
			got, err := m.of(pod)
			if err != nil || (got == nil) != (c.want == "") || got != nil && got.Name != c.want {
				t.Errorf("got %v and the error %v, want %q", got, err, c.want)
			}
		})
	}
	if got, err := m.of(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0"}}); got != nil || err != nil {
		t.Errorf("a pod of nobody is remembered by %v, %v", got, err)
	}
	if got, err := (*memory)(nil).of(&corev1.Pod{}); got != nil || err != nil {
		t.Errorf("without the kind: %v, %v", got, err)
	}
}

// What a pod's creation costs does not grow with the objects of other workloads in its namespace.
func BenchmarkTheObjectThatRemembersAPod(b *testing.B) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web", Controller: ptr.To(true)},
	}}}
	for _, others := range []int{0, 100, 10_000} {
		b.Run(strconv.Itoa(others)+" others", func(b *testing.B) {
			states := []*v1beta1.PersistentPodState{state("web", "apps/v1", "web", 1)}
			for i := range others {
				name := "other-" + strconv.Itoa(i)
				states = append(states, state(name, "apps/v1", name, 1))
			}
			m := &memory{states: storeOf(b, states...)}
			b.ReportAllocs()
			for b.Loop() {
				if got, err := m.of(pod); err != nil || got != states[0] {
					b.Fatalf("%v, %v", got, err)
				}
			}
		})
	}
}

func TestOnlyPodsOfWorkloadsThatAreThereAreAskedAbout(t *testing.T) {
	native := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	native.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	leaving := state("leaving", "apps/v1", "web", 1)
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Unix(9, 0)}
	w := &world{memory: &memory{
		states: storeOf(t, leaving, state("one", "apps/v1", "web", 1), state("gone", "apps/v1", "gone", 1), state("ours", "apps.kruise.io/v1beta1", "web", 1)),
		native: storeOf(t, native),
	}}
	got, err := asksForReturn(w)
	if err != nil || len(got) != 1 || got[0].Namespace != "shop" {
		t.Fatalf("%v, %v", got, err)
	}
	if got[0].Policy != "Ignore" {
		t.Errorf("a pod waits for a manager because of what is only preferred: %q", got[0].Policy)
	}
	one, _ := w.memory.states.Get(types.NamespacedName{Namespace: "shop", Name: "one"})
	one.Spec.RequiredPersistentTopology = &v1beta1.NodeTopologyTerm{NodeTopologyKeys: []string{"zone"}}
	if got, err := asksForReturn(w); err != nil || len(got) != 1 || got[0].Policy != "" {
		t.Errorf("a pod that must return follows the policy of the line: %v, %v", got, err)
	}
	if diff := cmp.Diff(native.Spec.Selector, got[0].Pods); diff != "" {
		t.Errorf("the pods (-want +got):\n%s", diff)
	}
	want := &podwebhook.Owner{GroupKind: schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, Name: "web"}
	if diff := cmp.Diff(want, got[0].Owner); diff != "" {
		t.Errorf("the owner (-want +got):\n%s", diff)
	}
	if got, err := asksForReturn(&world{}); got != nil || err != nil {
		t.Errorf("without the kind: %v, %v", got, err)
	}
}
