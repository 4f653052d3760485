package sidecar

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
)

// Guest is how the sidecars of one SidecarSet stand in one pod.
type Guest struct {
	set    *v1beta1.SidecarSet
	pod    *corev1.Pod
	record *Record
	state  *v1beta1.InPlaceUpdateState // of the latest upgrade; nil for a pod that has what it was created with
}

// GuestOf reads how the sidecars of a set stand in a pod. It fails on a record that cannot be read.
func GuestOf(set *v1beta1.SidecarSet, pod *corev1.Pod) (*Guest, error) {
	record, err := Read(pod)
	if err != nil {
		return nil, err
	}
	g := &Guest{set: set, pod: pod, record: record}
	if state, ok := record.Updates[set.Name]; ok {
		g.state = &state
	}
	return g, nil
}

// Hashes are those of what the pod has.
func (g *Guest) Hashes() Hashes {
	return Hashes{All: g.record.Hash[g.set.Name].SidecarSetHash, WithoutImage: g.record.WithoutImage[g.set.Name].SidecarSetHash}
}

// Revision is the name of the ControllerRevision that the pod has; empty where it does not say.
func (g *Guest) Revision() string { return g.record.Hash[g.set.Name].SidecarSetControllerRevision }

// Blocked says what keeps the sidecars from being upgraded in place to a set with these hashes; empty for nothing.
func (g *Guest) Blocked(to Hashes) string {
	if g.Hashes().WithoutImage != to.WithoutImage {
		return "more than images of the sidecars changed, and nothing else of a running pod can change"
	}
	for _, c := range LongRunning(g.set) {
		for _, name := range NamesInPod(c) {
			if inplace.ContainerOf(g.pod, name) == nil {
				return fmt.Sprintf("it has no container %q", name)
			}
		}
	}
	return ""
}

// Stage says how far the latest upgrade is. NextBatch is a pod whose new twins are ready, so that the old ones can become
// idle.
func (g *Guest) Stage() inplace.Stage {
	if g.state != nil && !inplace.CarriedOut(g.pod, g.state) {
		return inplace.Running
	}
	stage := inplace.Done
	for _, t := range g.twins() {
		switch {
		case t.other.Image == t.idleImage:
		case !g.ready(t.working.Name):
			return inplace.Running
		default:
			stage = inplace.NextBatch
		}
	}
	return stage
}

// lateAfter is how long after an upgrade a pod may cease to be ready for that upgrade to be the reason.
const lateAfter = 10 * time.Minute

// Excused says of a pod that is not ready, or where an upgrade is under way, that no upgrade of this set is the cause: it has
// what it was created with, it was not ready when the upgrade began and the sidecars are, or it ceased to be ready long
// afterwards.
func (g *Guest) Excused() bool {
	switch {
	case g.Stage() != inplace.Done:
		return false
	case g.state == nil:
		return true
	case g.state.PodNotReady && g.allReady():
		return true
	}
	for i := range g.pod.Status.Conditions {
		if c := &g.pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			return c.Status != corev1.ConditionTrue && c.LastTransitionTime.After(g.state.UpdateTimestamp.Add(lateAfter))
		}
	}
	return false
}

// allReady says whether all sidecars are ready, those of a hot upgrade the working ones.
func (g *Guest) allReady() bool {
	for _, c := range LongRunning(g.set) {
		if !g.ready(g.record.WorkingName(c)) {
			return false
		}
	}
	return true
}

// ready says whether a container is ready with the image that the pod says.
func (g *Guest) ready(container string) bool {
	status := inplace.StatusOf(g.pod, container)
	return status != nil && status.Ready && (g.state == nil || !inplace.Awaits(g.pod, g.state, container))
}

// twins are the two containers of a sidecar that is upgraded hot.
type twins struct {
	working, other *corev1.Container
	// image is what the sidecar is to run, idleImage is what its other twin does.
	image, idleImage string
	sidecar          string
}

// twins lists the twins of the set in the pod. Those of which the pod lacks one are left out.
func (g *Guest) twins() (out []twins) {
	for _, c := range LongRunning(g.set) {
		if !IsHot(c) {
			continue
		}
		working, other := Twins(c.Name)
		if g.record.WorkingName(c) == other {
			working, other = other, working
		}
		t := twins{
			working: inplace.ContainerOf(g.pod, working), other: inplace.ContainerOf(g.pod, other),
			image: c.Image, idleImage: c.UpgradeStrategy.HotUpgradeEmptyImage, sidecar: c.Name,
		}
		if t.working != nil && t.other != nil {
			out = append(out, t)
		}
	}
	return out
}
