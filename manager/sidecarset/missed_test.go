package sidecarset

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/manager/podops"
)

// someMissed is what finds missed pods, over an empty cluster whose pods are in the indexer.
func someMissed() (*missed, toolscache.Indexer) {
	pods := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, index.Indexers())
	c := &Controller{
		Base: &podops.Base{Pods: index.Over[*corev1.Pod](pods)}, namespace: "kruise-system",
		namespaces: index.Over[*metav1.PartialObjectMetadata](toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, index.Indexers())),
	}
	return &missed{
		Controller: c, wakes: make(chan event.GenericEvent, 10), synced: func() bool { return true }, pods: map[string]map[types.NamespacedName]types.UID{},
	}, pods
}

func podIn(namespace string, created time.Time) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: "a", UID: "uid", Labels: map[string]string{"app": "demo"}, CreationTimestamp: metav1.NewTime(created),
	}}
}

func TestPodsThatWereNotInjectedAreFoundUntilTheyAreGone(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: "proxy", CreationTimestamp: metav1.NewTime(now)}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "demo"}}
	for name, c := range map[string]struct {
		pod    *corev1.Pod
		missed bool
	}{
		"a pod created after the set":       {podIn("default", now.Add(time.Minute)), true},
		"a pod created before the set":      {podIn("default", now.Add(-time.Minute)), false},
		"a pod of the cluster's own":        {podIn("kube-system", now.Add(time.Minute)), false},
		"a pod of the manager's own":        {podIn("kruise-system", now.Add(time.Minute)), false},
		"a pod that the set was given into": {injectedPod(podIn("default", now.Add(time.Minute))), false},
	} {
		t.Run(name, func(t *testing.T) {
			m, pods := someMissed()
			m.put(set)
			if err := pods.Add(c.pod); err != nil {
				t.Fatal(err)
			}
			look := func() []string {
				req := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: c.pod.Namespace, Name: c.pod.Name}}
				if _, err := m.Reconcile(t.Context(), req); err != nil {
					t.Fatal(err)
				}
				return m.of("proxy")
			}
			if got := slices.Contains(look(), c.pod.Namespace+"/a"); got != c.missed {
				t.Errorf("it is missed: %t, want %t", got, c.missed)
			}
			if woken := len(m.wakes) > 0; woken != c.missed {
				t.Errorf("the set was woken: %t", woken)
			}
			if err := pods.Delete(c.pod); err != nil {
				t.Fatal(err)
			}
			if got := look(); len(got) > 0 || len(m.pods) > 0 {
				t.Errorf("once the pod is gone %v are missed", got)
			}
		})
	}
}

func injectedPod(pod *corev1.Pod) *corev1.Pod {
	pod.Annotations = map[string]string{v1beta1.SidecarSetInjectedListKey: "other,proxy"}
	return pod
}

func TestASetThatIsGoneMissesNothing(t *testing.T) {
	m, pods := someMissed()
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: "proxy"}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "demo"}}
	m.put(set)
	if err := pods.Add(podIn("default", time.Now())); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "default", Name: "a"}}); err != nil {
		t.Fatal(err)
	}
	if len(m.of("proxy")) != 1 {
		t.Fatal("the pod is not missed")
	}
	m.forget(toolscache.DeletedFinalStateUnknown{Obj: set})
	if got := m.of("proxy"); len(got) > 0 {
		t.Errorf("%v are missed by a set that is gone", got)
	}
}
