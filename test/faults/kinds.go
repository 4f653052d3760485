package faults

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clocks "k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

// kind is what is particular to one kind of workload: how its objects are made and read, what its controller promises
// beyond what all promise, and what people do to it.
type kind struct {
	// name is that of the kind, as its cache is named.
	name string
	// manifest is the name of the file of its objects in an archive.
	manifest string
	// blank makes an object without content.
	blank func() client.Object
	// reconciler makes the reconciler of the product.
	reconciler func(context.Context, ctrl.Manager, clocks.PassiveClock, workload.Options) (reconcile.Reconciler, error)
	// nodes is true where nodes matter, of which so many are marked in the beginning.
	nodes  bool
	marked int
	// adopts is true where pods that nobody owns are adopted, and keep their names from others meanwhile.
	adopts bool
	// guests is true where the set works on pods of others. Of the promises about pods of one's own none is checked: written says
	// what a change of a pod promises, and ended all that must be so of pods in the end.
	guests  bool
	written func(m *machine, v *view, r *request, before, after *corev1.Pod)
	// admit does to a set what admission does to a new one (old is nil) and to one that changes; nil: nothing.
	admit func(set, old client.Object) error
	// template is what a set makes pods from; nil where it makes none.
	template func(set client.Object) *corev1.PodTemplateSpec
	// container finds a container by its name in what a set puts into the pods of others; nil: there is none.
	container func(set client.Object, name string) *corev1.Container
	// spec is the spec of a set, and setStatus gives one set the status of another.
	spec      func(client.Object) any
	setStatus func(into, from client.Object)
	// hooks are those that count for the pods of a set; nil where none do.
	hooks func(client.Object) *v1beta1.Lifecycle
	// doom puts a pod on the list of those to delete; nil where there is none.
	doom func(set client.Object, pod string)
	// view is what a set wants.
	view func(p *process, set client.Object) (*view, error)
	// created and ended check what only this kind promises: when a pod was created, and in the end. tallies leaves out of the counts
	// of pods what its status does not hold; nil: nothing.
	created func(m *machine, v *view, pod *corev1.Pod)
	ended   func(m *machine, v *view)
	tallies func(*podset.Tally)
	// reported is what the status of a set says.
	reported func(client.Object) reported
	// share is the part of the seeds that are asked for: one in so many.
	share uint64
	// draw draws a set, opening what comes first (nil: nothing), person what a person does to it, where it is not what people do to
	// all, and resize how it gets more pods or fewer; nil: by its number of replicas. image draws that a container is to run another
	// image.
	draw    func(generator) client.Object
	opening func(generator) []string
	person  func(generator) string
	resize  func(generator) string
	image   func(generator) string
	// images are those that break, some in one way and some in another.
	images []string
	// options are what may be switched on, each in one of so many runs as odds says, and usual what is on in two of three.
	options []string
	usual   []string
	odds    int
	// simpler are parts of a set that may have nothing to do with a failure.
	simpler []func(client.Object)
}

// reported is what a status says.
type reported struct {
	tally      podset.Tally
	generation int64
	update     string
	// conditions are those that are there, with their messages; failures those that tell of one.
	conditions map[string]string
	failures   []string
}

// workloads are the kinds that are run.
var workloads = []*kind{cloneSets, statefulSets, daemonSets, sidecarSets}

// key is the name of the set.
func (k *kind) key() types.NamespacedName {
	if k.guests {
		return types.NamespacedName{Name: "web"}
	}
	return types.NamespacedName{Namespace: namespace, Name: "web"}
}

// stored are the kinds of the objects that are stored.
func (k *kind) stored() []string {
	kinds := []string{k.name, kindPod, kindClaim, kindRevision}
	if k.nodes {
		kinds = append(kinds, kindNode)
	}
	if k.guests {
		kinds = append(kinds, kindNamespace)
	}
	return kinds
}

// simplifications take parts out of a set that may have nothing to do with a failure.
func (k *kind) simplifications() []func(client.Object) {
	all := slices.Clone(k.simpler)
	for _, simplify := range simplerTemplates {
		if k.template != nil {
			all = append(all, func(set client.Object) { simplify(k.template(set)) })
		}
	}
	return all
}

// containerOf finds a container of a set by its name; nil: there is none.
func (k *kind) containerOf(set client.Object, name string) *corev1.Container {
	if k.template == nil {
		return k.container(set, name)
	}
	containers := k.template(set).Spec.Containers
	for i := range containers {
		if containers[i].Name == name {
			return &containers[i]
		}
	}
	return nil
}

func tallyOf(replicas, ready, available, updated, updatedReady, updatedAvailable int32) podset.Tally {
	return podset.Tally{
		Replicas: int(replicas), Ready: int(ready), Available: int(available),
		Updated: int(updated), UpdatedReady: int(updatedReady), UpdatedAvailable: int(updatedAvailable),
	}
}
