package sidecar

import (
	"maps"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
)

// change is what an upgrade changes in a pod.
type change struct {
	images   map[string]string // by container
	working  map[string]string // by sidecar: the twin that works from now on
	versions map[string]string // annotations that count the upgrades of twins
}

// Images are the new images of containers, by name, that bring the sidecars to what the set says. None are needed where the
// pod has them already.
func (g *Guest) Images() map[string]string { return g.change().images }

// change finds out what an upgrade has to change.
//
// A sidecar that is upgraded hot gets its new image in the twin that serves nobody: the idle one, or, where an upgrade before
// is not over, the one that is not ready yet; once that is ready, the old one. Where the old one has the wanted image it
// works again, and nothing of it restarts.
func (g *Guest) change() change {
	c := change{images: map[string]string{}, working: map[string]string{}, versions: map[string]string{}}
	for _, s := range LongRunning(g.set) {
		if old := inplace.ContainerOf(g.pod, s.Name); !IsHot(s) && old != nil && old.Image != s.Image {
			c.images[s.Name] = s.Image
		}
	}
	for _, t := range g.twins() {
		switch {
		case t.working.Image == t.image:
		case t.other.Image == t.image:
			c.images[t.working.Name] = t.idleImage
			c.working[t.sidecar] = t.other.Name
			c.idle(t.other.Name, t.working.Name)
		case t.other.Image == t.idleImage || g.ready(t.working.Name):
			c.images[t.other.Name] = t.image
			c.working[t.sidecar] = t.other.Name
			c.count(g.pod, t.other.Name, t.working.Name)
		default:
			c.images[t.working.Name] = t.image
			c.count(g.pod, t.working.Name, t.other.Name)
		}
	}
	return c
}

// count gives a twin that begins to work the next version, and tells both of the other's. A container reads them when it
// starts.
func (c *change) count(pod *corev1.Pod, working, other string) {
	before := versionOf(pod, other)
	next := max(before, versionOf(pod, working)) + 1
	c.version(working, next, other, before)
}

// idle tells the twins that one of them is idle.
func (c *change) idle(working, idle string) {
	c.versions[v1beta1.SidecarSetVersionKeyPrefix+idle] = "0"
	c.versions[v1beta1.SidecarSetVersionAltKeyPrefix+working] = "0"
}

func (c *change) version(working string, of int, other string, ofOther int) {
	c.versions[v1beta1.SidecarSetVersionKeyPrefix+working] = strconv.Itoa(of)
	c.versions[v1beta1.SidecarSetVersionAltKeyPrefix+other] = strconv.Itoa(of)
	c.versions[v1beta1.SidecarSetVersionAltKeyPrefix+working] = strconv.Itoa(ofOther)
}

// versionOf is the version of a twin; 0 for an idle one.
func versionOf(pod *corev1.Pod, twin string) int {
	n, err := strconv.Atoi(pod.Annotations[v1beta1.SidecarSetVersionKeyPrefix+twin])
	if err != nil {
		return 0
	}
	return n
}

// Target is what an upgrade leads to.
type Target struct {
	// Hashes are those of the set.
	Hashes
	// Revision is the name of its newest ControllerRevision.
	Revision string
	// PodNotReady says that the pod is out of service already, and no upgrade of this set is the cause.
	PodNotReady bool
}

// Begin makes the patch that begins the upgrade of a pod's sidecars. It writes the new images together with the record of
// them, and holds only for the pod as it was read: other sets keep their records in the same annotations.
func (g *Guest) Begin(to Target, now time.Time) ([]byte, error) {
	c := g.change()
	all, rest := g.entry(to.All, to.Revision, now), g.entry(to.WithoutImage, to.Revision, now)
	record := *g.record
	record.Hash, record.WithoutImage = with(record.Hash, g.set.Name, all), with(record.WithoutImage, g.set.Name, rest)
	if len(c.images) > 0 {
		state := inplace.RecordImages(g.pod, g.state, to.Revision, c.images, now)
		state.PodNotReady = to.PodNotReady
		record.Updates = with(record.Updates, g.set.Name, state)
	}
	for name, twin := range c.working {
		record.Working = with(record.Working, name, twin)
	}
	return g.patch(&record, c)
}

// Continue makes the patch that ends a hot upgrade whose new twins are ready: the old ones become idle. Nil where none are.
func (g *Guest) Continue(now time.Time) ([]byte, error) {
	if g.Stage() != inplace.NextBatch {
		return nil, nil
	}
	c := change{images: map[string]string{}, versions: map[string]string{}}
	for _, t := range g.twins() {
		if t.other.Image != t.idleImage {
			c.images[t.other.Name] = t.idleImage
			c.idle(t.working.Name, t.other.Name)
		}
	}
	record := *g.record
	state := inplace.RecordImages(g.pod, g.state, g.Revision(), c.images, now)
	if g.state != nil {
		state.Revision, state.UpdateTimestamp, state.PodNotReady = g.state.Revision, g.state.UpdateTimestamp, g.state.PodNotReady
	}
	record.Updates = with(record.Updates, g.set.Name, state)
	return g.patch(&record, c)
}

// entry is the record of what the pod gets.
func (g *Guest) entry(hash, revision string, now time.Time) v1beta1.SidecarSetUpgradeSpec {
	e := v1beta1.SidecarSetUpgradeSpec{
		UpdateTimestamp: metav1.NewTime(now), SidecarSetHash: hash, SidecarSetName: g.set.Name, SidecarSetControllerRevision: revision,
	}
	for _, c := range LongRunning(g.set) {
		e.SidecarList = append(e.SidecarList, c.Name)
	}
	return e
}

// patch names what changes.
func (g *Guest) patch(record *Record, c change) ([]byte, error) {
	annotations, err := record.Annotations()
	if err != nil {
		return nil, err
	}
	maps.Copy(annotations, c.versions)
	maps.DeleteFunc(annotations, func(key, value string) bool { return g.pod.Annotations[key] == value })
	return inplace.SetImages(g.pod, c.images, annotations), nil
}

// with is a map with one entry more; the map itself is left as it is.
func with[V any](m map[string]V, key string, value V) map[string]V {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]V{}
	}
	out[key] = value
	return out
}
