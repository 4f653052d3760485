package disruption

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/sidecar"
)

// model is a cluster with a budget: the API server, whose answers are true; a cache of pods and one of the budget, which lag
// behind; and requests that were permitted and are carried out later, or never.
type model struct {
	t       *rapid.T
	now     int // seconds
	pods    map[string]*corev1.Pod
	unseen  []*corev1.Pod // changes that the cache of pods has yet to show, in order
	shown   map[string]*corev1.Pod
	budget  *v1beta1.PodUnavailableBudget // as stored
	version int
	old     *v1beta1.PodUnavailableBudget // as a cache shows it, of an earlier version perhaps
	oldIs   int
	flights []flight
	total   int
	exempt  int // so many of the pods, the first ones
	least   int // so many must be available by the limits since all was last at rest, unless fewer were then
	uid     int
}

// flight is a request that was permitted and not carried out yet.
type flight struct {
	uid     string
	name    string
	deletes bool
	sidecar bool // it upgrades a sidecar, which may restart while the pod is ready throughout
	until   int  // by then it has failed
}

func newModel(t *rapid.T) *model {
	m := &model{t: t, pods: map[string]*corev1.Pod{}, shown: map[string]*corev1.Pod{}}
	m.total = rapid.IntRange(1, 6).Draw(t, "pods")
	m.exempt = rapid.IntRange(0, min(2, m.total-1)).Draw(t, "exempt")
	for _, name := range m.names() {
		m.create(name, -100)
	}
	m.show(len(m.unseen))
	m.budget = budgetOf(func(b *v1beta1.PodUnavailableBudget) {
		m.limit(b)
		if rapid.Bool().Draw(t, "a stated total") {
			b.Spec.ProtectTotalReplicas = new(int32(m.total - m.exempt))
		}
		b.Status = v1beta1.PodUnavailableBudgetStatus{}
	})
	m.old = m.budget.DeepCopy()
	m.reconcile()
	m.least = min(m.floor(), m.available())
	return m
}

// limit writes a limit into a budget, one way or the other.
func (m *model) limit(b *v1beta1.PodUnavailableBudget) {
	n := intstr.FromInt(rapid.IntRange(0, m.total).Draw(m.t, "limit"))
	if rapid.Bool().Draw(m.t, "in percent") {
		n = intstr.FromString(rapid.SampledFrom([]string{"0%", "1%", "34%", "50%", "99%", "100%"}).Draw(m.t, "limit in percent"))
	}
	b.Spec.MinAvailable, b.Spec.MaxUnavailable = nil, nil
	if rapid.Bool().Draw(m.t, "minAvailable") {
		b.Spec.MinAvailable = &n
	} else {
		b.Spec.MaxUnavailable = &n
	}
}

// floor is how many pods must be available by the budget as it is stored; what is a share of a pod counts as one.
func (m *model) floor() int {
	total := m.total - m.exempt
	if stated := m.budget.Spec.ProtectTotalReplicas; stated != nil {
		total = int(*stated)
	}
	number := func(v *intstr.IntOrString) int {
		if v.Type == intstr.Int {
			return v.IntValue()
		}
		percent, err := strconv.Atoi(strings.TrimSuffix(v.StrVal, "%"))
		if err != nil {
			m.t.Fatal(err)
		}
		return (total*percent + 99) / 100
	}
	if least := m.budget.Spec.MinAvailable; least != nil {
		return number(least)
	}
	return max(total-number(m.budget.Spec.MaxUnavailable), 0)
}

// check checks that no more pods are away than any limit allowed since all was last at rest. What was permitted by one limit may be
// carried out under the next.
func (m *model) check() {
	floor := m.floor()
	m.least = min(m.least, floor)
	is := m.available()
	if is < m.least {
		m.t.Fatalf("%d pods are available, and %d must be", is, m.least)
	}
	if len(m.flights)+len(m.unseen)+len(Permissions(m.budget)) == 0 && m.oldIs == m.version && m.counted() {
		m.least = min(floor, is)
	}
}

// counted says whether the status knows of the latest limit and of all pods that there should be.
func (m *model) counted() bool {
	s := &m.budget.Status
	return s.ObservedGeneration == m.budget.Generation && int(s.DesiredAvailable) == m.floor()
}

// create stores a new pod, which is exempt if it is one of the first.
func (m *model) create(name string, second int) {
	p := pod("", withSidecar, createdAt(second))
	if slices.Contains(m.names()[:m.exempt], name) {
		p.Annotations[v1beta1.PodNoProtectKey] = "true"
	}
	m.put(name, p)
}

// put stores a pod as the API server has it.
func (m *model) put(name string, p *corev1.Pod) {
	if p.UID == "" {
		m.uid++
		p.UID = types.UID(fmt.Sprint("uid-", m.uid))
	}
	p.Name = name
	m.pods[name] = p
	m.unseen = append(m.unseen, p.DeepCopy())
}

// show lets the cache of pods catch up.
func (m *model) show(n int) {
	for _, p := range m.unseen[:n] {
		if p.Annotations["gone"] != "" {
			delete(m.shown, p.Name)
		} else {
			m.shown[p.Name] = p
		}
	}
	m.unseen = m.unseen[n:]
}

func (m *model) store(b *v1beta1.PodUnavailableBudget) {
	m.budget = b
	m.version++
}

// ask asks for a pod as a webhook does: of the budget as it has it, and of the budget itself where that has changed.
func (m *model) ask(name string, o v1beta1.PubOperation, read *v1beta1.PodUnavailableBudget, version int) {
	p := m.pods[name]
	if p == nil {
		return
	}
	b := read.DeepCopy()
	answer := Ask(b, Request{Operation: o, Pod: p.DeepCopy()}, at(m.now))
	if answer.Recorded && version != m.version { // refused to be stored: another has changed it
		b = m.budget.DeepCopy()
		answer = Ask(b, Request{Operation: o, Pod: p.DeepCopy()}, at(m.now))
	}
	if answer.Recorded {
		m.store(b)
	}
	if !answer.Permitted {
		return
	}
	f := flight{uid: string(p.UID), name: name, deletes: o == "DELETE" || o == "EVICT", until: m.now + 5}
	f.sidecar = rapid.Bool().Draw(m.t, "of a sidecar")
	if !Available(p) || Exempt(b, p) || b.Status.DesiredAvailable == 0 { // what costs nothing is carried out at once: later it might cost
		m.carryOut(f)
		return
	}
	m.flights = append(m.flights, f)
}

// carryOut does what was permitted, if it is in time.
func (m *model) carryOut(f flight) {
	p := m.pods[f.name]
	if p == nil || string(p.UID) != f.uid || p.DeletionTimestamp != nil || m.now >= f.until {
		return
	}
	p = p.DeepCopy()
	switch {
	case f.deletes:
		p.DeletionTimestamp = &metav1.Time{Time: at(m.now)}
	case f.sidecar:
		upgrading(m.now)(p)
	case Available(p):
		p.Status.Conditions[0].Status, p.Status.Conditions[0].LastTransitionTime = corev1.ConditionFalse, stamp(m.now)
	}
	m.put(f.name, p)
}

// heal lets a pod come back: one that is gone under its name, one that is not ready as it is. A sidecar restarts in no time.
func (m *model) heal(name string) {
	p := m.pods[name]
	if p != nil && sidecar.UpgradesOf(p).UnderWay {
		p = p.DeepCopy()
		restarted(p)
		m.put(name, p)
		return
	}
	m.now++
	switch {
	case p == nil:
		m.create(name, m.now)
		m.now++
	case p.DeletionTimestamp != nil:
		gone := p.DeepCopy()
		gone.Annotations["gone"] = "true"
		m.put(name, gone)
		delete(m.pods, name)
	case !Available(p):
		p = p.DeepCopy()
		p.Status.Conditions[0].Status, p.Status.Conditions[0].LastTransitionTime = corev1.ConditionTrue, stamp(m.now)
		m.put(name, p)
	}
}

// reconcile counts, from caches, and stores the outcome if nobody has changed the budget meanwhile.
func (m *model) reconcile() {
	f := Facts{Now: at(m.now), Workloads: m.total, Away: map[string]bool{}}
	for _, p := range m.shown {
		f.Pods = append(f.Pods, p)
	}
	for _, name := range Overdue(m.old, f.Now) {
		if p := m.pods[name]; p == nil || !Available(p) {
			f.Away[name] = true
		}
	}
	got, err := Count(m.old, f)
	if err != nil {
		m.t.Fatal(err)
	}
	if m.oldIs != m.version {
		return
	}
	b := m.old.DeepCopy()
	b.Status = got.Status
	m.store(b)
}

func (m *model) available() int {
	n := 0
	for _, p := range m.pods {
		if Available(p) && !Exempt(m.budget, p) {
			n++
		}
	}
	return n
}

func (m *model) names() []string {
	var out []string
	for i := range m.total {
		out = append(out, fmt.Sprint("web-", i))
	}
	return out
}

// step does one thing, whichever.
func (m *model) step() {
	name := rapid.SampledFrom(m.names()).Draw(m.t, "pod")
	switch rapid.IntRange(0, 11).Draw(m.t, "step") {
	case 0, 1, 2:
		o := rapid.SampledFrom([]v1beta1.PubOperation{"DELETE", "EVICT", "UPDATE", "RESIZE"}).Draw(m.t, "operation")
		if rapid.Bool().Draw(m.t, "from a cache") {
			m.ask(name, o, m.old, m.oldIs)
		} else {
			m.ask(name, o, m.budget, m.version)
		}
	case 3, 4: // carried out, or lost with whoever asked
		if len(m.flights) > 0 {
			i := rapid.IntRange(0, len(m.flights)-1).Draw(m.t, "flight")
			if rapid.IntRange(0, 3).Draw(m.t, "lost") > 0 {
				m.carryOut(m.flights[i])
			}
			m.flights = append(m.flights[:i:i], m.flights[i+1:]...)
		}
	case 5:
		m.show(rapid.IntRange(0, len(m.unseen)).Draw(m.t, "shown"))
	case 6:
		m.old, m.oldIs = m.budget.DeepCopy(), m.version
	case 7:
		m.reconcile()
	case 8:
		m.heal(name)
	case 9:
		m.now += rapid.IntRange(1, 15).Draw(m.t, "seconds")
	case 10:
		if rapid.IntRange(0, 3).Draw(m.t, "another limit") == 0 {
			b := m.budget.DeepCopy()
			b.Generation++
			m.limit(b)
			m.store(b)
		}
	case 11: // scaled out: new pods come as others come back
		if m.total < 8 && rapid.IntRange(0, 3).Draw(m.t, "scaled out") == 0 {
			m.total++
		}
	}
}

func TestABudgetIsNeverOverspentAndNoPermissionIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			m.step()
			m.check()
		}
		// Whoever was permitted something is lost, all pods come back, and time passes.
		m.flights = nil
		for range 3 {
			for _, name := range m.names() {
				m.heal(name)
			}
		}
		for range 2 {
			m.now += int(deletionLasts.Seconds())
			m.show(len(m.unseen))
			m.old, m.oldIs = m.budget.DeepCopy(), m.version
			m.reconcile()
		}
		s := m.budget.Status
		counted := m.total - m.exempt
		if len(s.DisruptedPods)+len(s.UnavailablePods) > 0 || int(s.UnavailableAllowed) != max(counted-m.floor(), 0) || int(s.CurrentAvailable) != counted {
			t.Fatalf("at rest: %+v", s)
		}
	})
}
