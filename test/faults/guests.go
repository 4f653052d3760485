package faults

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/sidecar"
)

// guests is what a run remembers of the pods of others that sidecars stand in.
type guests struct {
	came  int // pods
	heard int // changes of pods
	// served are the pods that were ever in service, and away those that an upgrade took out of it and that are not back.
	served, away map[types.UID]bool
}

func newGuests() guests {
	return guests{served: map[types.UID]bool{}, away: map[types.UID]bool{}}
}

// neighbour is a SidecarSet that somebody else looks after, and spare is its sidecar.
const neighbour, spare = "neighbour", "spare"

func neighbouring() *v1beta1.SidecarSet {
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: neighbour}}
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: spare, Image: "spare:0"}}}
	return set
}

// come has somebody make pods, into which sidecars are injected as admission does, unless nobody answers for them.
func (m *machine) come(how, number string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	for range n {
		m.guests.came++
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: fmt.Sprintf("pod-%d", m.guests.came), Annotations: map[string]string{"author": "somebody"},
			Labels: map[string]string{"app": "web", "zone": []string{"a", "b"}[m.guests.came%2]},
		}}
		if how == "strangers" {
			pod.Labels["app"] = "other"
		}
		pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "main:1"}}
		all := []sidecar.Injection{{Set: neighbouring()}}
		if set, ok := m.set().(*v1beta1.SidecarSet); ok && how != "missed" && sidecar.Matches(set, pod, m.tables[kindNamespace].objects[namespace].GetLabels()) {
			in := sidecar.Injection{Set: set}
			if set.Status.ObservedGeneration == set.Generation {
				in.Revision = set.Status.LatestRevision
			}
			all = append(all, in)
		}
		if problems := sidecar.Inject(pod, all, sidecar.Options{Now: metav1.NewTime(m.world.Now)}); len(problems) > 0 {
			return problems[0].Err
		}
		if _, err := m.createPod(pod); err != nil {
			return err
		}
	}
	return nil
}

// upgradeSpare has another SidecarSet upgrade its own sidecar in a pod: it writes the annotations in which all sets keep what they
// know of the pod.
func (m *machine) upgradeSpare(pod *corev1.Pod) error {
	record, err := sidecar.Read(pod)
	if err != nil {
		return err
	}
	image := fmt.Sprintf("spare:%d", m.version)
	entry := record.Hash[neighbour]
	entry.SidecarSetHash = image
	record.Hash[neighbour] = entry
	annotations, err := record.Annotations()
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": annotations}, "spec": map[string]any{"containers": []corev1.Container{{Name: spare, Image: image}}},
	})
	if err != nil {
		return err
	}
	err = m.world.PatchPod(pod.Name, body)
	m.absorb()
	return err
}

// look learns from all that became of pods which of them were in service, and which came back.
func (g *guests) look(of *table) {
	for ; g.heard < len(of.log); g.heard++ {
		event := of.log[g.heard]
		pod, ok := event.Object.(*corev1.Pod)
		switch {
		case !ok:
		case event.Type == watch.Deleted:
			delete(g.away, pod.UID)
		case atRest(pod):
			g.served[pod.UID] = true
			delete(g.away, pod.UID)
		}
	}
}

// atRest says whether a pod is ready and no upgrade of its sidecars is under way.
func atRest(pod *corev1.Pod) bool {
	ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	for _, name := range append(twins(), cold, native) {
		c, status := inplace.ContainerOf(pod, name), inplace.StatusOf(pod, name)
		ready = ready && (c == nil || status != nil && status.Image == c.Image)
	}
	return ready && !betweenTwins(pod)
}

// twins are the containers of the hot sidecar.
func twins() []string { return []string{hot + "-1", hot + "-2"} }

// betweenTwins says whether a hot upgrade is not over, or wrong: not one of the twins is idle, and the other is not.
func betweenTwins(pod *corev1.Pod) bool {
	idle := 0
	for _, name := range twins() {
		c := inplace.ContainerOf(pod, name)
		if c == nil {
			return false
		}
		if c.Image == idleImage {
			idle++
		}
	}
	return idle != 1
}

// guestWritten checks what a write to a pod promises where the pod is another's.
func guestWritten(m *machine, v *view, r *request, before, after *corev1.Pod) {
	m.guests.look(m.tables[kindPod])
	if r.verb != "patch" || before == nil || after == nil {
		m.brokenf("%s: the pod is another's, who alone makes and ends it", r)
		return
	}
	known := v.pods[before.UID]
	if known == nil {
		m.brokenf("%s: the set does not select the pod, or was never injected into it", r)
		return
	}
	if was, is := authored(before), authored(after); was != is {
		m.brokenf("%s changes what others wrote:\n%s\nwas\n%s", r, is, was)
	}
	revises, restarts := guestHash(before) != guestHash(after), restarted(before, after)
	if revises {
		m.checkRevised(v, r, known, before, after)
		m.ledger.revised[before.UID] = m.version
	} else if slices.ContainsFunc(restarts, func(name string) bool { return !slices.Contains(twins(), name) || imageIn(after, name) != idleImage }) {
		m.brokenf("%s changes the images of %v, and the pod does not say which revision it has now", r, restarts)
	}
	m.checkTwins(r, before, after)
	if len(restarts) > 0 && atRest(before) {
		m.guests.away[before.UID] = true
		m.checkAway(v, r)
	}
}

// checkRevised checks that a pod is one that is to be upgraded, and gets what the set says.
func (m *machine) checkRevised(v *view, r *request, pod *replica.Replica, before, after *corev1.Pod) {
	want, set := v.wanted.sidecars, asSidecarSet(v.set)
	switch waiting := m.waiting(v); {
	case v.wanted.paused:
		m.brokenf("%s upgrades the pod, although the update is paused or NotUpdate", r)
	case v.isNew(pod.Revision):
		m.brokenf("%s upgrades the pod, which has the newest revision", r)
	case want.Selects != nil && !want.Selects(pod):
		m.brokenf("%s upgrades the pod, which updateStrategy.selector does not select", r)
	case before.Annotations[v1beta1.SidecarSetHashWithoutImageKey] != "" && withoutImage(before) != set.Annotations[v1beta1.SidecarSetHashWithoutImageKey]:
		m.brokenf("%s upgrades the pod, and more than images changed", r)
	case waiting <= want.Partition:
		m.brokenf("%s upgrades one of %d pods that wait, the partition keeps %d", r, waiting, want.Partition)
	}
	if guestHash(after) != set.Annotations[v1beta1.SidecarSetHashKey] {
		m.brokenf("%s: the pod says that it has other sidecars than the set", r)
	}
	for _, c := range sidecar.LongRunning(set) {
		names := sidecar.NamesInPod(c)
		if !slices.ContainsFunc(names, func(name string) bool { return imageIn(after, name) == c.Image }) {
			m.brokenf("%s: the pod says that it has the newest sidecars, and no container of %s is to run %s", r, c.Name, c.Image)
		}
	}
}

// waiting counts the pods that wait for an upgrade, by what a reconcile sees and what was written since.
func (m *machine) waiting(v *view) int {
	n, want := 0, v.wanted.sidecars
	for uid, r := range v.pods {
		if r.Active() && !v.isNew(r.Revision) && (want.Selects == nil || want.Selects(r)) && want.Blocked(r) == "" && m.ledger.revised[uid] <= v.at {
			n++
		}
	}
	return n
}

// checkAway checks that upgrades have no more pods out of service than they may.
func (m *machine) checkAway(v *view, r *request) {
	away := 0
	for uid, pod := range v.pods {
		if pod.Active() && m.guests.away[uid] {
			away++
		}
	}
	if most := v.wanted.sidecars.MaxUnavailable; away > most {
		m.brokenf("%s has %d pods away for upgrades, at most %d may be", r, away, most)
	}
}

// checkTwins checks that the hot sidecar of a pod that was ever in service serves on: of its twins, one that runs goes on.
func (m *machine) checkTwins(r *request, before, after *corev1.Pod) {
	if !m.guests.served[before.UID] {
		return
	}
	serving := slices.DeleteFunc(twins(), func(name string) bool {
		image := m.world.Running(before, name)
		return image == "" || image == idleImage
	})
	if len(serving) > 0 && !slices.ContainsFunc(serving, func(name string) bool { return imageIn(after, name) == m.world.Running(before, name) }) {
		m.brokenf("%s: no twin of the sidecar serves on", r)
	}
}

// checkKept checks that a revision is not deleted that a pod has.
func (m *machine) checkKept(v *view, deleted client.Object) {
	for _, pod := range m.active() {
		record, err := sidecar.Read(pod)
		if m.must(err); err == nil && v.pods[pod.UID] != nil && record.Hash[v.set.GetName()].SidecarSetControllerRevision == deleted.GetName() {
			m.brokenf("revision %s is deleted, and pod %s has it", deleted.GetName(), pod.Name)
		}
	}
}

// sidecarSetEnded checks that every pod that is to be upgraded is, and that nothing is left half done.
func sidecarSetEnded(m *machine, v *view) {
	if n, most := m.waiting(v), v.wanted.partition; n > most && !v.wanted.paused {
		m.brokenf("%d pods wait for an upgrade in the end, the partition keeps %d:\n%s", n, most, m.describe())
	}
	for _, pod := range m.active() {
		if !m.runs(pod) {
			m.brokenf("pod %s does not run what its spec says:\n%s", pod.Name, m.describe())
		}
		r := v.pods[pod.UID]
		if r == nil {
			continue
		}
		if !r.Available || betweenTwins(pod) {
			m.brokenf("an upgrade of pod %s is not over in the end:\n%s", pod.Name, m.describe())
		}
		blocked, told := v.wanted.sidecars.Blocked(r) != "", notUpgradable(pod, v.set.GetName())
		if blocked != told && !v.wanted.sidecars.NotUpdate {
			m.brokenf("pod %s cannot be upgraded: %v, and its condition says so: %v", pod.Name, blocked, told)
		}
	}
	limit := 10
	if n := asSidecarSet(v.set).Spec.RevisionHistoryLimit; n != nil {
		limit = int(*n)
	}
	if n := len(list[*appsv1.ControllerRevision](m.server, kindRevision)); n > limit+len(v.pods)+1 {
		m.brokenf("%d revisions are kept", n)
	}
}

// notUpgradable says whether a pod says that a set's sidecars cannot be upgraded in place.
func notUpgradable(pod *corev1.Pod, set string) bool {
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == v1beta1.SidecarSetUpgradable })
	if i < 0 {
		return false
	}
	sets := map[string]bool{}
	err := json.Unmarshal([]byte(pod.Status.Conditions[i].Message), &sets)
	upgradable, named := sets[set]
	return err == nil && named && !upgradable
}

// authored is a pod without what the SidecarSet writes, as JSON: what others wrote of it.
func authored(pod *corev1.Pod) string {
	p := pod.DeepCopy()
	p.ResourceVersion, p.Generation = "", 0
	for key, text := range p.Annotations {
		twin := strings.TrimPrefix(strings.TrimPrefix(key, v1beta1.SidecarSetVersionKeyPrefix), v1beta1.SidecarSetVersionAltKeyPrefix)
		if twin != key && slices.Contains(twins(), twin) {
			delete(p.Annotations, key)
		}
		entries := map[string]json.RawMessage{}
		if !strings.HasPrefix(key, "kruise.io/sidecarset-") || json.Unmarshal([]byte(text), &entries) != nil {
			continue
		}
		maps.DeleteFunc(entries, func(name string, _ json.RawMessage) bool { return name == "web" || name == hot })
		if p.Annotations[key] = fmt.Sprintf("%s", entries); len(entries) == 0 {
			delete(p.Annotations, key)
		}
	}
	for _, name := range append(twins(), cold, native) {
		if c := inplace.ContainerOf(p, name); c != nil {
			c.Image = ""
		}
	}
	p.Status.Conditions = slices.DeleteFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == v1beta1.SidecarSetUpgradable })
	text, err := json.Marshal(p)
	return fmt.Sprintf("%s%v", text, err)
}

// restarted are the sidecars whose images a write changes.
func restarted(before, after *corev1.Pod) []string {
	return slices.DeleteFunc(append(twins(), cold, native), func(name string) bool { return imageIn(before, name) == imageIn(after, name) })
}

func imageIn(pod *corev1.Pod, container string) string {
	if c := inplace.ContainerOf(pod, container); c != nil {
		return c.Image
	}
	return ""
}

// guestHash is the hash of the sidecars that a pod says that it has, and withoutImage that of all of them but images.
func guestHash(pod *corev1.Pod) string    { return hashIn(pod, v1beta1.SidecarSetHashKey) }
func withoutImage(pod *corev1.Pod) string { return hashIn(pod, v1beta1.SidecarSetHashWithoutImageKey) }

func hashIn(pod *corev1.Pod, key string) string {
	entries := map[string]struct {
		Hash string `json:"hash"`
	}{}
	if json.Unmarshal([]byte(pod.Annotations[key]), &entries) != nil {
		return ""
	}
	return entries["web"].Hash
}
