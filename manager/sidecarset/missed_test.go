package sidecarset

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/manager/podops"
)

// someMissed is what finds missed pods, over a cluster of these namespaces whose pods are in the first indexer, and whose namespaces
// in the second.
func someMissed(tb testing.TB, known ...*metav1.PartialObjectMetadata) (m *missed, pods, namespaces toolscache.Indexer) {
	tb.Helper()
	pods = toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, index.Indexers())
	namespaces = toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, index.Indexers())
	for _, n := range known {
		put(tb, namespaces, n)
	}
	c := &Controller{
		Base: &podops.Base{Pods: index.Over[*corev1.Pod](pods)}, namespace: "kruise-system", namespaces: index.Over[*metav1.PartialObjectMetadata](namespaces),
	}
	return &missed{
		Controller: c, wakes: make(chan event.GenericEvent, 10), again: make(chan event.GenericEvent, 1),
		synced: func() bool { return true }, pods: map[string]map[types.NamespacedName]types.UID{},
	}, pods, namespaces
}

func put(tb testing.TB, into toolscache.Indexer, object any) {
	tb.Helper()
	if err := into.Add(object); err != nil {
		tb.Fatal(err)
	}
}

// look looks at the pods of requests, and at those that were asked for meanwhile.
func look(tb testing.TB, m *missed, requests ...reconcile.Request) {
	tb.Helper()
	for {
		select {
		case e := <-m.again:
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(e.Object)})
			continue
		default:
		}
		break
	}
	for _, req := range requests {
		if _, err := m.Reconcile(tb.Context(), req); err != nil {
			tb.Fatal(err)
		}
	}
}

// labelled is a namespace with labels.
func labelled(name string, labels map[string]string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

// demo is a set about pods of the app.
func demo(created time.Time) *v1beta1.SidecarSet {
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: "proxy", CreationTimestamp: metav1.NewTime(created)}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "demo"}}
	return set
}

var ofPod = reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "default", Name: "a"}}

func podIn(namespace string, created time.Time) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: "a", UID: "uid", Labels: map[string]string{"app": "demo"}, CreationTimestamp: metav1.NewTime(created),
	}}
}

func TestPodsThatWereNotInjectedAreFoundUntilTheyAreGone(t *testing.T) {
	now := time.Now().Truncate(time.Second)
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
			m, pods, _ := someMissed(t, labelled("default", nil), labelled("kube-system", nil), labelled("kruise-system", nil))
			m.add(demo(now), true)
			put(t, pods, c.pod)
			seen := func() []string {
				look(t, m, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(c.pod)})
				return m.of("proxy")
			}
			if got := slices.Contains(seen(), c.pod.Namespace+"/a"); got != c.missed {
				t.Errorf("it is missed: %t, want %t", got, c.missed)
			}
			if woken := len(m.wakes) > 0; woken != c.missed {
				t.Errorf("the set was woken: %t", woken)
			}
			if err := pods.Delete(c.pod); err != nil {
				t.Fatal(err)
			}
			if got := seen(); len(got) > 0 || len(m.pods) > 0 {
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
	m, pods, _ := someMissed(t, labelled("default", nil))
	set := demo(time.Time{})
	m.add(set, true)
	put(t, pods, podIn("default", time.Now()))
	look(t, m, ofPod)
	if len(m.of("proxy")) != 1 {
		t.Fatal("the pod is not missed")
	}
	m.forget(toolscache.DeletedFinalStateUnknown{Obj: set})
	if got := m.of("proxy"); len(got) > 0 {
		t.Errorf("%v are missed by a set that is gone", got)
	}
}

func TestAPodIsMissedWhicheverIsHeardOfFirst(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	young, prod := podIn("default", now.Add(time.Minute)), map[string]string{"env": "prod"}
	changed := func(change func(*v1beta1.SidecarSet)) *v1beta1.SidecarSet {
		set := demo(now)
		change(set)
		return set
	}
	inProd := changed(func(set *v1beta1.SidecarSet) { set.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: prod} })
	for name, c := range map[string]struct {
		namespace *metav1.PartialObjectMetadata // at first; nil for one that is not known
		set       *v1beta1.SidecarSet           // at first; nil for one that is not known
		pod       *corev1.Pod
		then      func(*missed, toolscache.Indexer) []reconcile.Request
		missed    bool
	}{
		"the set after the pod": {namespace: labelled("default", nil), pod: young, missed: true, then: func(m *missed, _ toolscache.Indexer) []reconcile.Request {
			m.add(demo(now), false)
			return nil
		}},
		"the set after a pod that is older": {namespace: labelled("default", nil), pod: podIn("default", now.Add(-time.Minute)), then: func(m *missed, _ toolscache.Indexer) []reconcile.Request {
			m.add(demo(now), false)
			return nil
		}},
		"two sets after the pod, of which the younger comes first": {namespace: labelled("default", nil), pod: young, missed: true, then: func(m *missed, _ toolscache.Indexer) []reconcile.Request {
			m.add(changed(func(set *v1beta1.SidecarSet) {
				set.Name, set.CreationTimestamp = "younger", metav1.NewTime(now.Add(time.Hour))
			}), false)
			m.add(demo(now), false)
			return nil
		}},
		"the set selects the pod later": {
			namespace: labelled("default", nil), pod: young, missed: true,
			set: changed(func(set *v1beta1.SidecarSet) { set.Spec.Selector.MatchLabels["app"] = "other" }),
			then: func(m *missed, _ toolscache.Indexer) []reconcile.Request {
				m.update(changed(func(set *v1beta1.SidecarSet) { set.Spec.Selector.MatchLabels["app"] = "other" }), demo(now))
				return nil
			},
		},
		"the namespace after the pod and the set": {pod: young, set: inProd, missed: true, then: func(m *missed, namespaces toolscache.Indexer) []reconcile.Request {
			put(t, namespaces, labelled("default", prod))
			return m.podsIn(t.Context(), labelled("default", prod))
		}},
		"the namespace gets labels that the set selects": {namespace: labelled("default", nil), pod: young, set: inProd, missed: true, then: func(m *missed, namespaces toolscache.Indexer) []reconcile.Request {
			put(t, namespaces, labelled("default", prod))
			return m.podsIn(t.Context(), labelled("default", prod))
		}},
		"a namespace that is not known may be one that the set leaves out": {
			pod: young, set: changed(func(set *v1beta1.SidecarSet) {
				set.Spec.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "env", Operator: metav1.LabelSelectorOpDoesNotExist}}}
			}),
			then: func(*missed, toolscache.Indexer) []reconcile.Request { return []reconcile.Request{ofPod} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, pods, namespaces := someMissed(t)
			if c.namespace != nil {
				put(t, namespaces, c.namespace)
			}
			if c.set != nil {
				m.add(c.set, true)
			}
			put(t, pods, c.pod)
			look(t, m, ofPod)
			if got := m.of("proxy"); len(got) > 0 || len(m.wakes) > 0 {
				t.Fatalf("before, %v are missed", got)
			}
			look(t, m, c.then(m, namespaces)...)
			if got := m.of("proxy"); (len(got) == 1) != c.missed || (len(m.wakes) > 0) != c.missed {
				t.Errorf("%v are missed, and %d sets are woken; missed is to be: %t", got, len(m.wakes), c.missed)
			}
		})
	}
}

func TestWhatSetsReportOfThemselvesCostsNoLookAtPods(t *testing.T) {
	m, _, _ := someMissed(t)
	m.add(demo(time.Now()), true)
	reported := demo(time.Now())
	reported.Status.MatchedPods = 3
	m.update(demo(time.Now()), reported)
	if len(m.again) > 0 {
		t.Error("all pods are looked at again")
	}
}
