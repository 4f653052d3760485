package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/plan/workload"
)

// Mutant is what is wrong with a process on purpose, to prove that it is found. The zero value is the product as it is.
type Mutant struct {
	// cachesLie has all caches say that they know everything.
	cachesLie bool
	// client, if set, stands between the product and the server.
	client func(client.Client) client.Client
	// reconciler, if set, stands between the queue and the product.
	reconciler func(reconcile.Reconciler) reconcile.Reconciler
}

// machine runs a script.
type machine struct {
	*server
	ctx         context.Context
	options     workload.Options
	mutant      Mutant
	scheme      *runtime.Scheme
	rng         *rand.Rand
	first       client.Object // the set as the run begins with it
	process     *process
	reconciling bool

	skew   time.Duration
	narrow bool            // volumes do not grow
	frozen map[string]bool // kinds whose watches stand still
	armed  []arm
	fate   fate
	rules  []rule

	ledger  ledger
	order   story.Order
	guests  guests
	steady  map[types.UID]*corev1.Pod
	trace   []string
	failure error

	told map[string]int // how often each event was sent

	requests, reconciles, events, faults int
}

// mostEvents is how often the same event may be told in a run of a few minutes: what fails is tried less and less, but each
// change of the set begins anew.
const mostEvents = 40

// Result is what became of a run.
type Result struct {
	// Failure is the promise that was broken, or nil.
	Failure error
	// Trace tells what happened, one line for each request and event.
	Trace []string
	// Writes, Reconciles, Faults are counts.
	Requests, Reconciles, Faults int
}

// Run runs a script on a world of its own.
func Run(t *testing.T, script Script, mutant Mutant) Result {
	t.Helper()
	var result Result
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		m := newMachine(t.Context(), script, mutant)
		m.play(script)
		result = Result{Failure: m.failure, Trace: m.trace, Requests: m.requests, Reconciles: m.reconciles, Faults: m.faults}
	})
	return result
}

func newMachine(ctx context.Context, script Script, mutant Mutant) *machine {
	m := &machine{
		server: newServer(script.Kind), ctx: ctx, options: script.options(), mutant: mutant, scheme: runtime.NewScheme(),
		rng: rand.New(rand.NewPCG(script.Seed, 1)), steady: map[types.UID]*corev1.Pod{}, frozen: map[string]bool{}, told: map[string]int{}, ledger: newLedger(), guests: newGuests(),
	}
	utilrand.Seed(int64(script.Seed)) // instance ids are drawn from it
	m.must(v1beta1.AddToScheme(m.scheme))
	m.world.Agent = m.options.InPlace.EnvFromMetadata
	for node := range script.Kind.marked {
		m.must(m.changeNode(fmt.Sprintf("%d marked", node), true))
	}
	if script.Kind.guests {
		m.must(m.labelNamespace("team=shop"))
	}
	return m
}

// play plays a script and what follows every script: the faults end, and the rollout must, too.
func (m *machine) play(script Script) {
	var err error
	m.first, err = copyOf(script.Set)
	m.must(err)
	m.first.SetNamespace(m.kind.key().Namespace)
	m.first.SetName(m.kind.key().Name)
	m.must(m.do("make-set"))
	m.faults = 0
	m.must(m.start())
	for i, line := range script.Lines {
		if m.failure != nil {
			return
		}
		m.tracef("> %s", line)
		if err := m.do(line); err != nil {
			m.must(fmt.Errorf("line %d: %s: %w", i+1, line, err))
		}
	}
	if m.failure == nil {
		m.finish()
	}
}

// now is the time on the clock of the process under test.
func (m *machine) now() time.Time { return m.world.Now.Add(m.skew) }

func (m *machine) tracef(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	m.trace = append(m.trace, m.world.Now.Format("04:05.000 ")+text)
}

// must fails the run for an error.
func (m *machine) must(err error) {
	if err != nil {
		m.brokenf("%w", err)
	}
}

// brokenf notes that a promise was broken. The first one counts.
func (m *machine) brokenf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	m.tracef("BROKEN: %v", err)
	if m.failure == nil {
		m.failure = err
	}
}

// event takes an event of the controller.
func (m *machine) event(kind, reason, note string) {
	m.events++
	m.tracef("event %s %s: %s", kind, reason, note)
	m.told[reason+note]++
	if n := m.told[reason+note]; n > mostEvents {
		m.brokenf("an event is told for the %dth time: %s: %s", n, reason, note)
	}
}

// set is the workload as it is stored; nil if there is none.
func (m *machine) set() client.Object { return m.tables[m.kind.name].objects[m.kind.key().Name] }

// pass lets time pass; then scheduler, kubelet and Kubernetes' own controllers look.
func (m *machine) pass(d time.Duration) {
	m.world.Now = m.world.Now.Add(d)
	m.cluster()
}

// cluster lets scheduler and kubelet look at every pod where something may happen, and ends claims that nobody has.
func (m *machine) cluster() {
	for _, pod := range slices.Clone(m.world.Pods) {
		if m.steady[pod.UID] == pod {
			continue
		}
		m.kubelet(pod)
	}
	m.collect()
	used := map[string]bool{}
	for _, pod := range m.world.Pods {
		for _, name := range claimsOf(pod) {
			used[name] = true
		}
	}
	for _, claim := range list[*corev1.PersistentVolumeClaim](m.server, kindClaim) {
		if claim.DeletionTimestamp != nil && !used[claim.Name] {
			m.drop(kindClaim, claim.Name)
		}
	}
	m.grow()
}

// grow lets volumes grow to the size of their claims.
func (m *machine) grow() {
	for _, claim := range list[*corev1.PersistentVolumeClaim](m.server, kindClaim) {
		if asks, has := claim.Spec.Resources.Requests.Storage(), claim.Status.Capacity.Storage(); asks.Cmp(*has) > 0 && !m.narrow {
			claim = claim.DeepCopy()
			claim.Status.Capacity = claim.Spec.Resources.Requests
			m.store(kindClaim, claim)
		}
	}
}

// collect deletes what belongs to a workload that is gone, claims of pods that are, and pods of nodes that are, as the garbage
// collectors do.
func (m *machine) collect() {
	for _, pod := range slices.Clone(m.world.Pods) {
		if node := pod.Spec.NodeName; m.kind.nodes && node != "" && m.world.Node(node) == nil {
			m.world.Lose(pod.Name)
			m.absorb()
		}
	}
	set := m.set()
	for _, kind := range []string{kindPod, kindClaim, kindRevision} {
		for _, obj := range list[client.Object](m.server, kind) {
			if obj.GetDeletionTimestamp() != nil || !m.orphaned(obj, set) {
				continue
			}
			m.must(m.remove(kind, obj.GetName(), nil))
		}
	}
}

// orphaned says whether an object has owners, and none of them lives.
func (m *machine) orphaned(obj client.Object, set client.Object) bool {
	for _, ref := range obj.GetOwnerReferences() {
		pod := m.pod(ref.Name)
		if set != nil && set.GetUID() == ref.UID || pod != nil && pod.UID == ref.UID {
			return false
		}
	}
	return len(obj.GetOwnerReferences()) > 0
}

// kubelet looks at one pod, and remembers it where looking again would change nothing.
func (m *machine) kubelet(pod *corev1.Pod) {
	still := m.runs(pod)
	m.world.Sync(pod.Name)
	m.absorb()
	m.checkServing(m.pod(pod.Name))
	if still && m.pod(pod.Name) == pod && m.runs(pod) {
		m.steady[pod.UID] = pod
	}
}

// runs says whether kubelet has nothing left to do for a pod.
func (m *machine) runs(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return len(pod.Finalizers) > 0
	}
	if pod.Status.Phase == corev1.PodFailed {
		return true
	}
	statuses := slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
	unready := slices.ContainsFunc(statuses, func(c corev1.ContainerStatus) bool { return !c.Ready })
	containers := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	return !unready && !slices.ContainsFunc(containers, func(c corev1.Container) bool {
		if m.kind.guests { // where nobody renews an environment
			return m.world.Running(pod, c.Name) != c.Image
		}
		return !m.world.Current(pod, c.Name)
	})
}

// allSteady says whether kubelet has nothing left to do at all.
func (m *machine) allSteady() bool {
	return !slices.ContainsFunc(m.world.Pods, func(pod *corev1.Pod) bool { return m.steady[pod.UID] != pod })
}

// hear lets all caches hear of everything, but for those whose watches are frozen.
func (m *machine) hear() {
	for _, kind := range m.kinds {
		if m.frozen[kind] {
			continue
		}
		c := m.process.mirrors[kind]
		m.heard(c.hear(c.behind()))
	}
}

func (m *machine) heard(wakes bool, err error) {
	m.must(err)
	m.process.queued = m.process.queued || wakes
}

// edit changes metadata of a pod, as a user does.
func (m *machine) edit(pod *corev1.Pod, edit func(*metav1.ObjectMeta)) {
	m.must(m.world.Edit(pod.Name, edit))
	m.absorb()
}

func claimsOf(pod *corev1.Pod) []string {
	var names []string
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		}
	}
	return names
}

// describe tells the state of the world, for a failure.
func (m *machine) describe() string {
	var b strings.Builder
	set := m.set()
	if set != nil {
		fmt.Fprintf(&b, "status %+v\n", m.kind.reported(set))
	}
	for _, pod := range list[*corev1.Pod](m.server, kindPod) {
		fmt.Fprintf(&b, "%s %s deleted %v labels %v claims %v gates", pod.Name, pod.Status.Phase, pod.DeletionTimestamp != nil, pod.Labels, claimsOf(pod))
		for _, c := range pod.Status.Conditions {
			fmt.Fprintf(&b, " %s=%s", c.Type, c.Status)
		}
		for _, c := range pod.Spec.Containers {
			fmt.Fprintf(&b, " %s wants %s runs %s current %v", c.Name, c.Image, m.world.Running(pod, c.Name), m.world.Current(pod, c.Name))
		}
		b.WriteByte('\n')
	}
	for _, claim := range list[*corev1.PersistentVolumeClaim](m.server, kindClaim) {
		fmt.Fprintf(&b, "claim %s deleted %v\n", claim.Name, claim.DeletionTimestamp != nil)
	}
	return b.String()
}
