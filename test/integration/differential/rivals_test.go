package differential

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/test/integration/stepped"
)

// The names of two workloads whose pods cannot be told apart by the kind of their owner. What is compared has one name for both.
const (
	native = "native"
	ours   = "ours"
)

// rivals are a native workload and one of ours of the same kind that are told the same.
type rivals[S any] struct {
	*stepped.World
	spec          S
	theirs, ours  side[S]
	oursReconcile types.NamespacedName
	nudges        int
}

// side is one of the two.
type side[S any] struct {
	name string
	// empty makes an object of the kind, and into puts a spec into one.
	empty func() client.Object
	into  func(S, client.Object)
	// observed is the generation that the controller has seen.
	observed func(client.Object) int64
	// end is what users see of the workload, and whether that is its end.
	end func(client.Object, []corev1.Pod, S) (any, bool)
}

// move is a change of the spec or of the world, after which everybody gets some turns.
type move[S any] struct {
	words  string
	change func(*S)
	// world changes something else, if set.
	world func(*rivals[S])
	// turns is how many turns there are until the next move; with all, as many as both need to come to their end.
	turns int
	all   bool
}

// calmly has both come to their end before the first move and after each.
func calmly[S any](moves []move[S]) []move[S] {
	moves = append([]move[S]{{words: "begin"}}, moves...)
	for i := range moves {
		moves[i].all, moves[i].turns = true, 0
	}
	return moves
}

func (m move[S]) String() string {
	if m.all {
		return m.words + "; to the end"
	}
	return fmt.Sprintf("%s; %d turns", m.words, m.turns)
}

func meet[S any](w *stepped.World, spec S, theirs, ours side[S]) *rivals[S] {
	w.Helper()
	r := &rivals[S]{World: w, spec: spec, theirs: theirs, ours: ours}
	r.oursReconcile = types.NamespacedName{Namespace: w.Namespace, Name: ours.name}
	r.BrokenImages[brokenImage] = true
	for _, s := range []side[S]{theirs, ours} {
		object := s.empty()
		object.SetNamespace(w.Namespace)
		object.SetName(s.name)
		s.into(spec, object)
		if err := r.API.Create(w.Context(), object); err != nil {
			r.Fatal(err)
		}
	}
	r.awaitObserved()
	return r
}

// play makes the moves, and compares whenever both are to come to their end.
func (r *rivals[S]) play(moves []move[S]) {
	r.Helper()
	for _, m := range moves {
		if m.change != nil {
			m.change(&r.spec)
			r.tell(r.theirs)
			r.tell(r.ours)
		}
		if m.world != nil {
			m.world(r)
		}
		r.awaitObserved()
		for range m.turns {
			r.turn()
		}
		if m.all {
			r.compare(m)
		}
	}
}

// tell puts the spec into one of the two.
func (r *rivals[S]) tell(s side[S]) {
	r.Helper()
	before := s.empty()
	r.Get(s.name, before)
	after, isObject := before.DeepCopyObject().(client.Object)
	if !isObject {
		r.Fatalf("%T is no object", before)
	}
	s.into(r.spec, after)
	if err := r.API.Patch(r.Context(), after, client.MergeFrom(before)); err != nil {
		r.Fatalf("edit the %T: %v", after, err)
	}
}

// nudge makes the native controller look again: what changes in the world does not always make it do so.
func (r *rivals[S]) nudge() {
	r.Helper()
	object := r.theirs.empty()
	object.SetNamespace(r.Namespace)
	object.SetName(r.theirs.name)
	r.nudges++
	r.Patch(object, fmt.Sprintf(`{"metadata":{"annotations":{"nudge":"%d"}}}`, r.nudges))
}

// awaitObserved waits until the native controller has seen the latest spec.
func (r *rivals[S]) awaitObserved() {
	r.Helper()
	err := wait.PollUntilContextTimeout(r.Context(), 5*time.Millisecond, giveUp, true, func(context.Context) (bool, error) {
		object := r.theirs.empty()
		r.Get(r.theirs.name, object)
		return r.theirs.observed(object) == object.GetGeneration(), nil
	})
	if err != nil {
		r.Fatalf("waiting until the native workload is observed: %v", err)
	}
}

// turn gives a turn to our controller and to scheduler and kubelet. The native one takes its own. It returns whether there was
// anything to do.
func (r *rivals[S]) turn() bool {
	r.Helper()
	if err := r.Reconcile(r.oursReconcile); err != nil {
		r.Fatalf("reconcile: %v", err)
	}
	wrote := len(r.Writes()) > 0
	return r.Cluster() || wrote
}

// compare lets both come to their end.
func (r *rivals[S]) compare(m move[S]) {
	r.Helper()
	var diff string
	err := wait.PollUntilContextTimeout(r.Context(), 10*time.Millisecond, giveUp, true, func(context.Context) (bool, error) {
		moved := r.turn()
		theirs, theyAre := r.outcome(r.theirs)
		ours, weAre := r.outcome(r.ours)
		diff = fmt.Sprintf("the native one is at its end: %t, ours: %t (-native +ours):\n%s", theyAre, weAre, cmp.Diff(theirs, ours))
		return !moved && theyAre && weAre && cmp.Equal(theirs, ours), nil
	})
	if err != nil {
		r.Fatalf("after %q the ends were to be the same: %v\n%s", m.words, err, diff)
	}
}

// outcome is what users see of one of the two, under a name that both share.
func (r *rivals[S]) outcome(s side[S]) (any, bool) {
	r.Helper()
	object := s.empty()
	r.Get(s.name, object)
	end, complete := s.end(object, r.podsOf(s.name), r.spec)
	text, err := json.Marshal(end)
	if err != nil {
		r.Fatal(err)
	}
	var shared any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), s.name, web)), &shared); err != nil {
		r.Fatal(err)
	}
	return shared, complete && s.observed(object) == object.GetGeneration()
}

// podsOf lists the pods whose controller has a name.
func (r *rivals[S]) podsOf(owner string) []corev1.Pod {
	r.Helper()
	return slices.DeleteFunc(r.Pods(), func(pod corev1.Pod) bool {
		controller := metav1.GetControllerOf(&pod)
		return controller == nil || controller.Name != owner
	})
}

// deletePods deletes the pods of either that are chosen.
func (r *rivals[S]) deletePods(chosen func(owner string, pod *corev1.Pod) bool) {
	r.Helper()
	for _, owner := range []string{r.theirs.name, r.ours.name} {
		for _, pod := range r.podsOf(owner) {
			if !chosen(owner, &pod) {
				continue
			}
			if err := r.API.Delete(r.Context(), &pod); client.IgnoreNotFound(err) != nil {
				r.Fatal(err)
			}
		}
	}
}

// asTold says whether a pod runs what a template says.
func asTold(pod *corev1.Pod, template corev1.PodTemplateSpec) bool {
	have, want := pod.Spec.Containers[0], template.Spec.Containers[0]
	return have.Image == want.Image && cmp.Equal(have.Env, want.Env) && pod.Labels["track"] == template.Labels["track"]
}

// play runs cases, each from a seed of its own.
func play(t *testing.T, one func(t *testing.T, seed int)) {
	t.Helper()
	for _, seed := range seeds(t) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			one(t, seed)
		})
	}
}
