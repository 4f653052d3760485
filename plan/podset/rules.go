package podset

import (
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/revision"
)

// Rules are what pods of every kind go by as they change and go.
type Rules struct {
	// Replicas is the wanted number of pods.
	Replicas int
	// MaxUnavailable is how many of them may be unavailable by what we do.
	MaxUnavailable int
	// Paused stops the update.
	Paused bool
	// OnDelete leaves every pod as it is; only new pods get the newest revision.
	OnDelete bool
	// Policy says how one pod is updated.
	Policy v1beta1.PodUpdatePolicyType
	// NotReadyForDelete and NotReadyForUpdate keep pods out of service while their hook holds them.
	NotReadyForDelete, NotReadyForUpdate bool
	// UpdateRevision and CurrentRevision are the names of the newest revision and of the one before.
	UpdateRevision, CurrentRevision string
	// Change tells how to get in place from a revision, named as on a pod, to another.
	Change func(from, to string) inplace.Change
}

// IsNew says whether a revision label names the newest revision, in its long or its short form.
func (r *Rules) IsNew(label string) bool { return sameRevision(label, r.UpdateRevision) }

func sameRevision(a, b string) bool {
	return a == b || a != "" && revision.ShortHash(a) == revision.ShortHash(b)
}
