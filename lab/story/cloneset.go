package story

import (
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
	"kruise.io/kruise/plan/workload"
)

// CloneSet is a CloneSet in a world. Its spec may be changed at any time.
type CloneSet struct {
	Name string
	Spec v1beta1.CloneSetSpec
	// Revisions are the templates so far. They are named <name>-v1, <name>-v2, and so on.
	Revisions []*appsv1.ControllerRevision
	// CurrentRevision is that of the last complete rollout.
	CurrentRevision string
	// Options are those of the whole cluster.
	Options workload.Options

	slots int
	order Order
}

func readCloneSet(text []byte) (string, set, error) {
	var object v1beta1.CloneSet
	err := yaml.UnmarshalStrict(text, &object)
	return object.Name, &CloneSet{Name: object.Name, Spec: object.Spec}, err
}

// NoLimit is a number of writes that no round comes to.
const NoLimit = 1_000_000

// errCrash ends a round.
var errCrash = errors.New("the manager ends here")

// Round is one turn of the controller: what it sees, and what it decides.
type Round struct {
	Pool *podset.Pool
	Pods []replica.Replica
	Plan podset.Plan

	set  *CloneSet
	view *workload.CloneSet
}

// Decide lets the controller decide what to do now, and checks the promises that the plan shows.
func (c *CloneSet) Decide(w *world.World) (*Round, error) {
	view, err := c.View(w)
	if err != nil {
		return nil, err
	}
	r := &Round{set: c, view: view, Pods: view.Replicas(w.Now)}
	if r.Pool, err = view.Pool(c.newID); err != nil {
		return nil, err
	}
	r.Plan = r.Pool.Plan(w.Now, r.Pods)
	return r, errors.Join(CheckPlan(r.Pool, r.Pods, r.Plan), CheckService(w, r.Pods))
}

func (c *CloneSet) decide(w *world.World) (turn, error) {
	r, err := c.Decide(w)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Round) facts() ([]replica.Replica, podset.Plan) { return r.Pods, r.Plan }

func (r *Round) moves() ([]lifecycle.Transition, error) { return Moves(r.Plan, r.Pool.IsNew) }

func (c *CloneSet) container(name string) *corev1.Container {
	return containerOf(&c.Spec.Template, name)
}

func (c *CloneSet) patch(patch []byte) error {
	after, err := merged(&v1beta1.CloneSet{Spec: c.Spec}, patch)
	if err == nil {
		c.Spec = after.Spec
	}
	return err
}

func (c *CloneSet) gate(name string) error {
	return openGate(&c.Options, name)
}

// openGate opens a feature gate.
func openGate(options *workload.Options, name string) error {
	for _, gate := range workload.Gates() {
		if gate.Name == name {
			*gate.Option(options) = true
			return nil
		}
	}
	return fmt.Errorf("there is no gate %q", name)
}

func (c *CloneSet) status(w *world.World) (string, error) {
	pods, err := c.Observe(w)
	if err != nil {
		return "", err
	}
	pool, err := c.Pool(w)
	if err != nil {
		return "", err
	}
	return counts(pool.Plan(w.Now, pods).Tally, pool.Replicas, pool.CurrentRevision, pool.UpdateRevision), nil
}

// counts tells the counts of a status.
func counts(t podset.Tally, wanted int, current, update string) string {
	return fmt.Sprintf("%d of %d pods, %d ready, %d available; %d of %d updated, %d available; current %s, update %s",
		t.Replicas, wanted, t.Ready, t.Available, t.Updated, t.ExpectedUpdated, t.UpdatedAvailable, current, update)
}

// Act carries the decision out, and checks the promises of the world before and after each write. After so many writes
// the manager ends, as in a crash; the next round begins with what the cluster says.
func (r *Round) Act(w *world.World, writes int) error {
	floor, inOrder := CensusOf(r.Pool, r.Pods).Floor(r.Pool), r.set.order.watch(w)
	kept := func() error {
		pods, err := r.set.Observe(w)
		if err != nil {
			return err
		}
		return errors.Join(inOrder(), atLeast(floor, CensusOf(r.Pool, pods).Available, "pods"))
	}
	err := act(w, r.view, r.Plan, world.Tidy{Strays: r.view.Strays, Claims: r.view.ExpiredClaims(r.view.Current)}, writes, kept)
	if errors.Is(err, errCrash) {
		return kept()
	}
	if err := errors.Join(err, kept()); err != nil {
		return err
	}
	r.set.Spec.ScaleStrategy.PodsToDelete = r.view.RemainingPodsToDelete()
	return errors.Join(CheckOwnership(w), r.set.Report(w, r.Plan.Tally))
}

// atLeast says that no fewer of what serves are available than must stay.
func atLeast(floor, available int, what string) error {
	if available < floor {
		return fmt.Errorf("%d %s are available after a write, at least %d must stay", available, what, floor)
	}
	return nil
}

// act carries a plan out and checks before each write what is to be kept. After so many writes the manager ends.
func act(w *world.World, of podset.Workload, plan podset.Plan, tidy world.Tidy, writes int, kept func() error) error {
	return w.Act(of, plan, tidy, func() error {
		if writes--; writes < 0 {
			return errCrash
		}
		return kept()
	})
}

// Report keeps of a tally what later decisions need: the revision of a complete rollout becomes the current one.
func (c *CloneSet) Report(w *world.World, t podset.Tally) error {
	pool, err := c.Pool(w)
	if err == nil && t.Updated == t.Replicas && t.Replicas == pool.Replicas {
		c.CurrentRevision = pool.UpdateRevision
	}
	return err
}

// Pool is what the set wants of its pods.
func (c *CloneSet) Pool(w *world.World) (*podset.Pool, error) {
	view, err := c.View(w)
	if err != nil {
		return nil, err
	}
	return view.Pool(c.newID)
}

// Observe reads the facts about every pod.
func (c *CloneSet) Observe(w *world.World) ([]replica.Replica, error) {
	view, err := c.View(w)
	if err != nil {
		return nil, err
	}
	return view.Replicas(w.Now), nil
}

// View is the CloneSet with what belongs to it. It registers the template as a revision, if it is new.
func (c *CloneSet) View(w *world.World) (*workload.CloneSet, error) {
	view, err := c.read(w)
	if err != nil || !register(view.Revisions, c.Name, &c.Revisions, &c.CurrentRevision) {
		return view, err
	}
	return c.read(w)
}

// register makes sure that the newest revision is among those of a workload, and says whether it is new. They are named
// <name>-v1, <name>-v2, and so on. The first is the current one.
func register(r *workload.Revisions, name string, all *[]*appsv1.ControllerRevision, current *string) bool {
	made := r.NewRevision()
	if newest := r.Newest; newest != nil { // an older one that equals the template becomes the newest again
		newest.Revision = max(newest.Revision, revision.Next(*all)-1)
		if claims, ok := made.Annotations[v1beta1.ClaimTemplatesHashKey]; ok {
			metav1.SetMetaDataAnnotation(&newest.ObjectMeta, v1beta1.ClaimTemplatesHashKey, claims)
		}
		return false
	}
	hash := fmt.Sprintf("v%d", len(*all)+1)
	made.Name, made.Labels[revision.HashLabel] = revision.Name(name, hash), hash
	*all = append(*all, made)
	if *current == "" {
		*current = made.Name
	}
	return true
}

func (c *CloneSet) read(w *world.World) (*workload.CloneSet, error) {
	set := &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Name: c.Name, UID: setUID}, Spec: c.Spec}
	set.Status.CurrentRevision = c.CurrentRevision
	if set.Spec.Selector == nil { // a story need not say
		set.Spec.Selector = &metav1.LabelSelector{}
	}
	return workload.NewCloneSet(set, workload.Owned{
		Pods: controlledIn(w), Claims: w.Claims, Revisions: c.Revisions, PodExists: func(name string) bool { return w.Pod(name) != nil },
		Node: func(name string) map[string]string {
			if node := w.Node(name); node != nil {
				return node.Labels
			}
			return nil
		},
	}, c.Options)
}

// setUID is the UID of the workload of a story.
const setUID types.UID = "the-set"

// controlledIn are the pods of a world that the workload controls.
func controlledIn(w *world.World) []*corev1.Pod {
	set := &metav1.ObjectMeta{UID: setUID}
	return slices.DeleteFunc(slices.Clone(w.Pods), func(pod *corev1.Pod) bool { return !metav1.IsControlledBy(pod, set) })
}

// newID makes up an instance id that reads well.
func (c *CloneSet) newID() string {
	c.slots++
	return letters(c.slots - 1)
}

// letters counts in letters: a, b, c, and so on.
func letters(n int) string {
	text := ""
	for i := n; i >= 0; i = i/26 - 1 {
		text = string(rune('a'+i%26)) + text
	}
	return text
}
