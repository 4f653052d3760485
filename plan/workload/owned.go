package workload

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kruise.io/kruise/plan/revision"
)

// Owned are the objects whose controller a workload is.
type Owned struct {
	Pods      []*corev1.Pod
	Claims    []*corev1.PersistentVolumeClaim
	Revisions []*appsv1.ControllerRevision
	// Revision finds a revision by its name, whoever owns it. Nil: there are no others.
	Revision func(name string) *appsv1.ControllerRevision
	// Node tells the labels of a node; nil for one that is not known. Nil: no node is known.
	Node func(name string) map[string]string
	// PodExists tells whether a pod of a name exists, whoever owns it. Nil: there are no others.
	PodExists func(name string) bool
	// Unowned are pods of the namespace that have no controller.
	Unowned []*corev1.Pod
	// Claim finds a claim by its name, whoever owns it. Nil: there are none.
	Claim func(name string) *corev1.PersistentVolumeClaim
}

// selected sorts the pods into those that the workload selects, those that end among them, and strays, which it no longer
// selects.
func (o *Owned) selected(selector labels.Selector) (pods, strays []*corev1.Pod) {
	for _, pod := range o.Pods {
		if pod.DeletionTimestamp == nil && !selector.Matches(labels.Set(pod.Labels)) {
			strays = append(strays, pod)
			continue
		}
		pods = append(pods, pod)
	}
	return pods, strays
}

// orphans looks for the revisions that a workload's pods and its status name and that are not among those owned.
// Without them every pod would be of an unknown revision, and be recreated.
func (o *Owned) orphans(workload string, selector labels.Selector, pods []*corev1.Pod, status ...string) []*appsv1.ControllerRevision {
	if o.Revision == nil {
		return nil
	}
	known := map[string]bool{"": true}
	for _, r := range o.Revisions {
		known[revision.ShortHash(r.Name)] = true
	}
	var out []*appsv1.ControllerRevision
	look := func(label string) {
		hash := revision.ShortHash(label)
		if known[hash] {
			return
		}
		known[hash] = true
		r := o.Revision(revision.Name(workload, hash))
		if r != nil && r.DeletionTimestamp == nil && metav1.GetControllerOfNoCopy(r) == nil && selector.Matches(labels.Set(r.Labels)) {
			out = append(out, r)
		}
	}
	for _, label := range status {
		look(label)
	}
	last := ""
	for _, pod := range pods { // there may be many, and nearly all of one revision
		if label := pod.Labels[appsv1.ControllerRevisionHashLabelKey]; label != last {
			look(label)
			last = label
		}
	}
	return out
}
