package statefulset

import (
	"kruise.io/kruise/plan/inplace"
)

// kindStatefulSet is the kind, as its cache is named for own writes.
const kindStatefulSet = "StatefulSet"

// Options tune the controller and the admission.
type Options struct {
	// Workers is how many StatefulSets are worked on at a time. Default: podops.DefaultWorkers.
	Workers int
	// PullAhead makes jobs that pull the images of a rollout ahead of it.
	PullAhead bool
	// AutoDeleteClaims lets persistentVolumeClaimRetentionPolicy decide what becomes of claims. Off, all are kept.
	AutoDeleteClaims bool
	// StartOrdinal lets ordinals.start decide about the first ordinal. Off, it is 0.
	StartOrdinal bool
	// ResizeClaims lets volumeClaimUpdateStrategy decide about claims that exist. Off, they are left as they are.
	ResizeClaims bool
	// PodIndexLabel writes the ordinal of a pod into the label apps.kubernetes.io/pod-index.
	PodIndexLabel bool
	// InPlace says what more than images, labels and annotations can be changed in place.
	InPlace inplace.Options
}
