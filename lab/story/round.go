package story

import (
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
	"kruise.io/kruise/plan/workload"
)

// NoLimit is a number of writes that no round comes to.
const NoLimit = 1_000_000

// errCrash ends a round.
var errCrash = errors.New("the manager ends here")

// setUID is the UID of the workload of a story.
const setUID types.UID = "the-set"

// Round is one turn of the controller: what it sees, and what it decides.
type Round struct {
	// Pool is what a CloneSet wants, Sequence what a StatefulSet does.
	Pool     *podset.Pool
	Sequence *podset.Sequence
	Pods     []replica.Replica
	Plan     podset.Plan

	volumeClaims []v1beta1.VolumeClaimStatus // as the status of a StatefulSet says

	turn world.Turn
	// kept checks the promises of the world before and after each write, and done is done at the end.
	kept, done func() error
}

// Act carries the decision out, and checks the promises of the world before and after each write. After so many writes
// the manager ends, as in a crash; the next round begins with what the cluster says.
func (r *Round) Act(w *world.World, writes int) error {
	turn := r.turn
	turn.Plan = r.Plan
	err := w.Act(turn, func() error {
		if writes--; writes < 0 {
			return errCrash
		}
		return r.kept()
	})
	if errors.Is(err, errCrash) {
		return r.kept()
	}
	if err := errors.Join(err, r.kept()); err != nil {
		return err
	}
	return r.done()
}

// floor checks that a count does not fall below what it may be.
func floor(what string, count func() (int, error), least int) error {
	n, err := count()
	if err == nil && n < least {
		err = fmt.Errorf("%d %s after a write, at least %d must stay", n, what, least)
	}
	return err
}

// history are the revisions of a workload in a world.
type history struct {
	name      string
	revisions *[]*appsv1.ControllerRevision
	current   *string
}

// register makes sure that the newest revision is there, and says whether it is new. They are named <name>-v1, <name>-v2, and
// so on.
func (h history) register(r *workload.Revisions) bool {
	made := r.NewRevision()
	if newest := r.Newest; newest != nil { // an older one that equals the template becomes the newest again
		newest.Revision = max(newest.Revision, revision.Next(*h.revisions)-1)
		if claims, ok := made.Annotations[v1beta1.ClaimTemplatesHashKey]; ok {
			metav1.SetMetaDataAnnotation(&newest.ObjectMeta, v1beta1.ClaimTemplatesHashKey, claims)
		}
		return false
	}
	hash := fmt.Sprintf("v%d", len(*h.revisions)+1)
	made.Name, made.Labels[revision.HashLabel] = revision.Name(h.name, hash), hash
	*h.revisions = append(*h.revisions, made)
	if *h.current == "" {
		*h.current = made.Name
	}
	return true
}

// ownedIn are the pods of a world that a workload controls.
func ownedIn(w *world.World) []*corev1.Pod {
	set := &metav1.ObjectMeta{UID: setUID}
	return slices.DeleteFunc(slices.Clone(w.Pods), func(pod *corev1.Pod) bool { return !metav1.IsControlledBy(pod, set) })
}
