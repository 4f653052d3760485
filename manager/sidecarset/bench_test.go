package sidecarset

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/sidecar"
	"kruise.io/kruise/plan/workload"
)

// settled is an API server whose SidecarSets are all at rest: who writes anything fails.
type settled struct {
	client.Client
	sets map[string]*v1beta1.SidecarSet
}

func (s *settled) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	set, ok := into.(*v1beta1.SidecarSet)
	if !ok {
		return fmt.Errorf("%T was asked for", into)
	}
	s.sets[key.Name].DeepCopyInto(set)
	return nil
}

func (s *settled) Status() client.SubResourceWriter { return refusing{} }

type refusing struct{ client.SubResourceWriter }

func (refusing) Patch(context.Context, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
	return errors.New("a status was written at rest")
}

// atRest is a controller over so many sets at rest, each in one pod.
func atRest(tb testing.TB, sets int) *loop.Loop[*v1beta1.SidecarSet] {
	tb.Helper()
	podIndexers := index.Indexers()
	podIndexers[injected.Name] = injected.Func()
	pods := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, podIndexers)
	revisions := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, index.Indexers())
	known := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, index.Indexers())
	api := &settled{sets: map[string]*v1beta1.SidecarSet{}}
	c := &Controller{Base: &podops.Base{Pods: index.Over[*corev1.Pod](pods), Revisions: index.Over[*appsv1.ControllerRevision](revisions)}}
	c.Executor = podops.Executor{Client: api, Clock: clock.RealClock{}, Writes: seen.New(map[string]seen.Cache{
		kindSidecarSet: index.Over[*v1beta1.SidecarSet](known), podops.KindPod: c.Pods, podops.KindRevision: c.Revisions,
	})}
	c.namespaces = index.Over[*metav1.PartialObjectMetadata](toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, index.Indexers()))
	c.missed = &missed{Controller: c, pods: map[string]map[types.NamespacedName]types.UID{}}
	for i := range sets {
		if err := settle(api, pods, revisions, fmt.Sprintf("set-%d", i)); err != nil {
			tb.Fatal(err)
		}
	}
	return &loop.Loop[*v1beta1.SidecarSet]{
		Kind: kindSidecarSet, Client: api, Recorder: &events.FakeRecorder{}, Writes: c.Writes, Clock: c.Clock,
		New:   func() *v1beta1.SidecarSet { return &v1beta1.SidecarSet{} },
		Begin: func(set *v1beta1.SidecarSet) loop.Work[*v1beta1.SidecarSet] { return &work{Controller: c, set: set} },
	}
}

// settle adds a set with one revision and one pod, and the status that it has then.
func settle(api *settled, pods, revisions toolscache.Indexer, name string) error {
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Generation: 1}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "proxy", Image: "proxy:1"}}}
	if err := sidecar.Stamp(set, nil); err != nil {
		return err
	}
	view, err := workload.NewSidecarSet(set, workload.Injected{Namespace: "kruise-system"})
	if err != nil {
		return err
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("pod-" + name), Labels: map[string]string{"app": name}}}
	pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "main:1"}}
	if problems := sidecar.Inject(pod, []sidecar.Injection{{Set: set, Revision: view.Update}}, sidecar.Options{Now: metav1.Now()}); len(problems) > 0 {
		return problems[0].Err
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := errors.Join(pods.Add(pod), revisions.Add(view.NewRevision())); err != nil {
		return err
	}
	view, err = workload.NewSidecarSet(set, workload.Injected{Namespace: "kruise-system", Pods: []*corev1.Pod{pod}, Revisions: []*appsv1.ControllerRevision{view.NewRevision()}})
	if err != nil {
		return err
	}
	w := &work{Controller: &Controller{}, set: set, view: view, decided: true}
	if w.plan, err = view.Plan(time.Now()); err != nil {
		return err
	}
	api.sets[name] = w.Report(time.Now(), nil).Object
	return nil
}

// What a manager does for 50,000 SidecarSets after its restart, when nothing has changed: once through all of them, by one
// worker.
func BenchmarkFiftyThousandSidecarSetsAfterARestart(b *testing.B) {
	const sets = 50_000
	for b.Loop() {
		b.StopTimer()
		l := atRest(b, sets)
		b.StartTimer()
		for i := range sets {
			if _, err := l.Reconcile(b.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: fmt.Sprintf("set-%d", i)}}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func TestSidecarSetsAtRestAreNotWrittenAfterARestart(t *testing.T) {
	const sets = 100
	l := atRest(t, sets)
	for i := range sets {
		result, err := l.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: fmt.Sprintf("set-%d", i)}})
		if err != nil || result.RequeueAfter != 0 {
			t.Fatalf("%+v, %v", result, err)
		}
	}
}
