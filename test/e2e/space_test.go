package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// patience is how long a wait may last. It is generous: the machine may be small and busy.
const patience = 4 * time.Minute

// space is a namespace that a test works in and watches.
type space struct {
	*testing.T
	*cluster
	name string
	// seen shows the namespace as its watches told it.
	seen cache.Cache
	// changed has an element when a watch told something since it was last empty.
	changed chan struct{}
}

// follow begins to watch the namespace.
func (s *space) follow() {
	s.Helper()
	var err error
	s.seen, err = cache.New(s.config, cache.Options{
		Scheme: s.client.Scheme(), DefaultNamespaces: map[string]cache.Config{s.name: {}},
	})
	if err != nil {
		s.Fatalf("watching the namespace %s: %v", s.name, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.seen.Start(s.Context()); err != nil {
			s.Errorf("watching the namespace %s: %v", s.name, err)
		}
	}()
	s.Cleanup(func() { <-ended })
	s.watch(&corev1.Pod{}, &v1beta1.CloneSet{})
}

// watch lets waits end as soon as objects of these kinds change.
func (s *space) watch(kinds ...client.Object) {
	s.Helper()
	for _, kind := range kinds {
		tell := func() {
			select {
			case s.changed <- struct{}{}:
			default:
			}
		}
		s.handle(kind, toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { tell() },
			UpdateFunc: func(any, any) { tell() },
			DeleteFunc: func(any) { tell() },
		})
	}
}

// handle passes every event of a kind on, in order. It returns once all objects that there were are passed on, with a function
// that stops it.
func (s *space) handle(kind client.Object, handler toolscache.ResourceEventHandler) (stop func()) {
	s.Helper()
	informer, err := s.seen.GetInformer(s.Context(), kind)
	if err != nil {
		s.Fatalf("watching %T in %s: %v", kind, s.name, err)
	}
	registration, err := informer.AddEventHandler(handler)
	if err != nil {
		s.Fatalf("watching %T in %s: %v", kind, s.name, err)
	}
	if !toolscache.WaitForCacheSync(s.Context().Done(), registration.HasSynced) {
		s.Fatalf("watching %T in %s: no answer", kind, s.name)
	}
	return func() {
		if err := informer.RemoveEventHandler(registration); err != nil && s.Context().Err() == nil {
			s.Errorf("no longer watching %T in %s: %v", kind, s.name, err)
		}
	}
}

// ever watches whether an object of a kind is so at any moment, and tells it when asked.
func ever[O client.Object](s *space, kind O, is func(O) bool) func() bool {
	s.Helper()
	var was atomic.Bool
	look := func(object any) {
		if o, isObject := object.(O); isObject && is(o) {
			was.Store(true)
		}
	}
	s.handle(kind, toolscache.ResourceEventHandlerFuncs{AddFunc: look, UpdateFunc: func(_, object any) { look(object) }})
	return was.Load
}

// until waits for a state. missing looks at what the watches told and says what is not yet as it should be, or "".
func (s *space) until(what string, missing func() string) {
	s.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		last := missing()
		if last == "" {
			return
		}
		select {
		case <-s.changed:
		case <-timeout.C:
			s.Fatalf("waited %s in vain until %s; last seen: %s", patience, what, last)
		case <-s.Context().Done():
			s.Fatalf("interrupted while waiting until %s; last seen: %s", what, last)
		}
	}
}

// set is a CloneSet as the watch told it last.
func (s *space) set(name string) *v1beta1.CloneSet {
	s.Helper()
	set := &v1beta1.CloneSet{}
	err := s.seen.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: name}, set)
	if client.IgnoreNotFound(err) != nil {
		s.Fatalf("looking at the CloneSet %s: %v", name, err)
	}
	return set
}

// pods are the pods of a CloneSet as the watch told them last, by name.
func (s *space) pods(set string) []*corev1.Pod {
	s.Helper()
	return s.podsFrom(s.seen, set)
}

// podsNow are the pods of a CloneSet as the API server has them.
func (s *space) podsNow(set string) []*corev1.Pod {
	s.Helper()
	return s.podsFrom(s.client, set)
}

func (s *space) podsFrom(reader client.Reader, set string) []*corev1.Pod {
	s.Helper()
	var list corev1.PodList
	if err := reader.List(s.Context(), &list, client.InNamespace(s.name)); err != nil {
		s.Fatalf("listing the pods of %s: %v", s.name, err)
	}
	var pods []*corev1.Pod
	for i := range list.Items {
		if ownedBy(&list.Items[i], set) {
			pods = append(pods, &list.Items[i])
		}
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods
}

// ownedBy says whether a pod is one of a workload of ours. Workloads of one test have different names.
func ownedBy(pod *corev1.Pod, set string) bool {
	owner := metav1.GetControllerOf(pod)
	return owner != nil && strings.HasPrefix(owner.APIVersion, v1beta1.GroupName+"/") && owner.Name == set
}

// create creates an object in the namespace.
func (s *space) create(object client.Object) {
	s.Helper()
	object.SetNamespace(s.name)
	if err := s.client.Create(s.Context(), object); err != nil {
		s.Fatalf("creating %T %s: %v", object, object.GetName(), err)
	}
}

// change changes the spec of a CloneSet, whoever else may be writing it.
func (s *space) change(name string, change func(*v1beta1.CloneSet)) *v1beta1.CloneSet {
	s.Helper()
	return edit(s, name, &v1beta1.CloneSet{}, change)
}

// edit changes an object, whoever else may be writing it, and returns it as it is then.
func edit[O client.Object](s *space, name string, object O, change func(O)) O {
	s.Helper()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := s.client.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: name}, object); err != nil {
			return err
		}
		change(object)
		return s.client.Update(s.Context(), object)
	})
	if err != nil {
		s.Fatalf("changing the %T %s: %v", object, name, err)
	}
	return object
}

// untilSaid waits until the controller has seen this spec of the CloneSet, and gives this reason for how it progresses.
func (s *space) untilSaid(set *v1beta1.CloneSet, reason string) {
	s.Helper()
	s.until(fmt.Sprintf("the CloneSet %s says %s of generation %d", set.Name, reason, set.Generation), func() string {
		now := s.set(set.Name)
		if now.Status.ObservedGeneration < set.Generation || progress(now).Reason != reason {
			return s.describe(set.Name)
		}
		return ""
	})
}

// untilDone waits until the CloneSet has all its pods, of the newest revision and available.
func (s *space) untilDone(set *v1beta1.CloneSet) {
	s.Helper()
	s.untilSaid(set, v1beta1.CloneSetAvailable)
}

// untilMessage waits until the condition of a CloneSet that tells how it progresses says something.
func (s *space) untilMessage(set, words string) {
	s.Helper()
	s.until(fmt.Sprintf("the CloneSet %s says %q", set, words), func() string {
		if !strings.Contains(progress(s.set(set)).Message, words) {
			return s.describe(set)
		}
		return ""
	})
}

// events are the events with a reason in the namespace.
func (s *space) events(reason string) []eventsv1.Event {
	s.Helper()
	var list eventsv1.EventList
	if err := s.client.List(s.Context(), &list, client.InNamespace(s.name)); err != nil {
		s.Fatalf("listing the events of %s: %v", s.name, err)
	}
	return slices.DeleteFunc(list.Items, func(e eventsv1.Event) bool { return e.Reason != reason })
}

// untilEvent waits for an event with a reason and certain words in its note.
func (s *space) untilEvent(reason, words string) {
	s.Helper()
	s.watch(&eventsv1.Event{})
	s.until(fmt.Sprintf("there is an event %s about %q", reason, words), func() string {
		var list eventsv1.EventList
		if err := s.seen.List(s.Context(), &list); err != nil {
			return err.Error()
		}
		var others []string
		for _, event := range list.Items {
			if event.Reason == reason && strings.Contains(event.Note, words) {
				return ""
			}
			others = append(others, event.Reason+": "+event.Note)
		}
		return strings.Join(others, "\n")
	})
}

// progress is the condition that says how far a CloneSet is.
func progress(set *v1beta1.CloneSet) v1beta1.CloneSetCondition {
	for _, condition := range set.Status.Conditions {
		if condition.Type == v1beta1.CloneSetConditionTypeProgressing {
			return condition
		}
	}
	return v1beta1.CloneSetCondition{Reason: "none"}
}

// describe says what a CloneSet and its pods look like.
func (s *space) describe(name string) string {
	s.Helper()
	set := s.set(name)
	status := set.Status
	var text strings.Builder
	fmt.Fprintf(&text, "CloneSet %s: generation %d (observed %d), %d pods, %d ready, %d available, %d updated (%d available), revision %s",
		name, set.Generation, status.ObservedGeneration, status.Replicas, status.ReadyReplicas, status.AvailableReplicas,
		status.UpdatedReplicas, status.UpdatedAvailableReplicas, status.UpdateRevision)
	for _, condition := range status.Conditions {
		fmt.Fprintf(&text, "\n  %s %s %s: %s", condition.Type, condition.Status, condition.Reason, condition.Message)
	}
	for _, pod := range s.pods(name) {
		text.WriteString("\n  " + describePod(pod))
	}
	return text.String()
}

func describePod(pod *corev1.Pod) string {
	text := fmt.Sprintf("pod %s (%s) on %s: %s, ready %s, %s, revision %s", pod.Name, pod.UID, pod.Spec.NodeName, pod.Status.Phase,
		statusOf(pod, corev1.PodReady), pod.Labels[v1beta1.LifecycleStateKey], pod.Labels["controller-revision-hash"])
	for _, container := range pod.Status.ContainerStatuses {
		text += fmt.Sprintf(", %s restarted %d times", container.Name, container.RestartCount)
		if waiting := container.State.Waiting; waiting != nil {
			text += " and waits: " + waiting.Reason
		}
	}
	if pod.DeletionTimestamp != nil {
		text += ", going"
	}
	return text
}

// statusOf is the status of a condition of a pod; Unknown when there is none.
func statusOf(pod *corev1.Pod, kind corev1.PodConditionType) corev1.ConditionStatus {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == kind {
			return condition.Status
		}
	}
	return corev1.ConditionUnknown
}
