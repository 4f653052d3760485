package faults

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
)

const (
	// longest is how long a rollout may take once nothing goes wrong any more.
	longest = 30 * time.Minute
	// mostTurns bounds the work for it.
	mostTurns = 3000
)

// finish ends all faults, waits until nothing happens any more, and checks what was reached.
func (m *machine) finish() {
	m.tracef("> the faults end")
	m.armed, m.rules = nil, nil
	clear(m.frozen)
	clear(m.world.Bad)
	clear(m.world.Unready)
	clear(m.steady)
	m.must(m.do("make-set"))
	m.narrow, m.world.Resize = false, ""
	m.heal()
	for _, pod := range list[*corev1.Pod](m.server, kindPod) {
		m.edit(pod, func(meta *metav1.ObjectMeta) {
			meta.Finalizers = slices.DeleteFunc(meta.Finalizers, func(f string) bool { return f == pin })
			if m.kind.adopts {
				meta.Labels["app"] = "web" // whoever took it away gives it back
			}
		})
	}
	m.letGo()
	began := m.world.Now
	for turns := 0; !m.quiet(); turns++ {
		if m.failure != nil {
			return
		}
		if m.world.Now.Sub(began) > longest || turns > mostTurns {
			m.brokenf("no rest after %s:\n%s", m.world.Now.Sub(began), m.describe())
			return
		}
		m.hooks()
		m.turn(m.pause())
	}
	m.checkEnd()
	m.checkRest()
}

// quiet says whether nothing is left that could happen by itself.
func (m *machine) quiet() bool {
	p := m.process
	return !p.queued && p.due.IsZero() && m.allSteady() &&
		!slices.ContainsFunc(m.kinds, func(kind string) bool { return p.mirrors[kind].behind() > 0 })
}

// pause is how long nothing happens: a second, or longer where only the controller's queue holds something for later.
func (m *machine) pause() time.Duration {
	p := m.process
	if wait := p.due.Sub(m.world.Now); m.allSteady() && !p.due.IsZero() && wait > time.Second {
		return wait
	}
	return time.Second
}

// checkRest checks that nothing is written when nothing happens, although the controller is called.
func (m *machine) checkRest() {
	for range 3 {
		if m.failure != nil {
			return
		}
		version, events := m.version, m.events
		m.world.Now = m.world.Now.Add(time.Minute)
		m.process.queued = true
		m.reconcile()
		if m.version != version || m.events != events {
			m.brokenf("at rest the controller wrote %d times and sent %d events", m.version-version, m.events-events)
		}
	}
}

// checkEnd checks that what is wanted is so, and that the status says so.
func (m *machine) checkEnd() {
	m.process.began = m.now()
	v, err := m.process.viewOf(m.set())
	if err != nil {
		m.must(err)
		return
	}
	if m.kind.guests {
		m.checkStatus(v, m.kind.reported(m.set()))
		m.kind.ended(m, v)
		return
	}
	c := m.count(v)
	if c.doomed > 0 && !v.wanted.stuck {
		m.brokenf("%d pods that were asked to go are still there:\n%s", c.doomed, m.describe())
	}
	if c.doomed == 0 && c.staying != v.wanted.replicas && v.wanted.perNode == nil {
		m.brokenf("%d pods in the end, %d are wanted:\n%s", c.staying, v.wanted.replicas, m.describe())
	}
	if c.condemned > 0 {
		m.brokenf("%d pods in the end are not wanted:\n%s", c.condemned, m.describe())
	}
	if c.available != c.active {
		m.brokenf("%d of %d pods are available in the end:\n%s", c.available, c.active, m.describe())
	}
	status := m.kind.reported(m.set())
	blocked := false
	for _, message := range status.conditions {
		blocked = blocked || strings.Contains(message, "InPlaceOnly")
	}
	left := c.old - v.wanted.partition
	if v.wanted.byPlace() {
		left = c.beyond
	}
	if left > 0 && c.doomed == 0 && !v.wanted.paused && !blocked {
		m.brokenf("%d pods too many are on old revisions in the end:\n%s", left, m.describe())
	}
	m.checkPods(v)
	m.checkClaims(v)
	m.checkStatus(v, status)
	m.checkHistory(v)
	m.kind.ended(m, v)
}

// checkPods checks that each pod runs what it should, and that strays were let go of.
func (m *machine) checkPods(v *view) {
	for _, pod := range m.active() {
		if !ours(pod, v.set.GetUID()) {
			continue
		}
		if !v.selected[pod.UID] {
			m.brokenf("pod %s was never released", pod.Name)
		}
		if !m.runs(pod) {
			m.brokenf("pod %s does not run what its spec says:\n%s", pod.Name, m.describe())
		}
		m.checkRevision(v, pod)
	}
}

// checkClaims checks that each pod has its claims. One that was adopted brings those that it has: they may be ending with the set
// before, which left the pod to itself.
func (m *machine) checkClaims(v *view) {
	for _, pod := range list[*corev1.Pod](m.server, kindPod) {
		for _, name := range claimsOf(pod) {
			claim := m.tables[kindClaim].objects[name]
			lost := claim == nil || claim.GetDeletionTimestamp() != nil && m.ledger.adopted[pod.UID] == 0
			if ours(pod, v.set.GetUID()) && pod.DeletionTimestamp == nil && lost {
				m.brokenf("pod %s lives, and its claim %s is lost:\n%s", pod.Name, name, m.describe())
			}
		}
	}
}

// checkStatus checks that the status says what is.
func (m *machine) checkStatus(v *view, got reported) {
	var want podset.Tally
	for uid, r := range v.pods {
		if !v.selected[uid] || !r.Active() {
			continue
		}
		isNew := v.isNew(r.Revision)
		tally(&want, r, isNew)
	}
	if m.kind.tallies != nil {
		m.kind.tallies(&want)
	}
	if got.tally != want {
		m.brokenf("the status says %+v, the pods are %+v", got.tally, want)
	}
	if is := m.set().GetGeneration(); got.generation != is {
		m.brokenf("the status speaks of generation %d, the set has %d", got.generation, is)
	}
	if !v.isNew(got.update) {
		m.brokenf("the status says that %q is the newest revision", got.update)
	}
	for _, name := range got.failures {
		if message, is := got.conditions[name]; is {
			m.brokenf("the status tells of a failure that is over: %s: %s", name, message)
		}
	}
}

func tally(t *podset.Tally, r *replica.Replica, isNew bool) {
	count := func(n *int, yes bool) {
		if yes {
			*n++
		}
	}
	count(&t.Replicas, true)
	count(&t.Ready, r.Ready)
	count(&t.Available, r.Available)
	count(&t.Updated, isNew)
	count(&t.UpdatedReady, isNew && r.Ready)
	count(&t.UpdatedAvailable, isNew && r.Available)
}

// checkHistory checks that every pod's revision is kept, and not many more.
func (m *machine) checkHistory(v *view) {
	revisions := list[*appsv1.ControllerRevision](m.server, kindRevision)
	if most := 10 + len(v.pods) + 2; len(revisions) > most {
		m.brokenf("%d revisions are kept", len(revisions))
	}
	names := map[string]types.UID{}
	for _, r := range revisions {
		names[revision.ShortHash(r.Name)] = r.UID
	}
	for uid, r := range v.pods {
		adopted := m.ledger.adopted[uid] > 0 // from a set that took its revisions along
		if names[revision.ShortHash(r.Revision)] == "" && r.Active() && !adopted {
			m.brokenf("pod %s has revision %s, which is not kept", r.Name, r.Revision)
		}
	}
}
