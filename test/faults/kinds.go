package faults

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	clocks "k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

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
	// template finds the pod template of a set.
	template func(client.Object) *corev1.PodTemplateSpec
	// spec is the spec of a set, and setStatus gives one set the status of another.
	spec      func(client.Object) any
	setStatus func(into, from client.Object)
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
	// draw draws a set, person what a person does to it, where it is not what people do to all, and resize how it gets more pods or
	// fewer; nil: by its number of replicas.
	draw   func(generator) client.Object
	person func(generator) string
	resize func(generator) string
	// options are what may be switched on, each in one of so many runs as odds says.
	options []string
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
var workloads = []*kind{cloneSets, statefulSets, daemonSets}

// stored are the kinds of the objects that are stored.
func (k *kind) stored() []string {
	kinds := []string{k.name, kindPod, kindClaim, kindRevision}
	if k.nodes {
		kinds = append(kinds, kindNode)
	}
	return kinds
}

func tallyOf(replicas, ready, available, updated, updatedReady, updatedAvailable int32) podset.Tally {
	return podset.Tally{
		Replicas: int(replicas), Ready: int(ready), Available: int(available),
		Updated: int(updated), UpdatedReady: int(updatedReady), UpdatedAvailable: int(updatedAvailable),
	}
}
