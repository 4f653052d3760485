package world

import (
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/podset"
)

// Write is one request to the API.
type Write func() error

// Writes are the requests that carry out a step, made from the pod as it is now.
func (w *World) Writes(workload podset.Workload, s podset.Step) ([]Write, error) {
	if s.Do == podset.Create {
		pod, claims, err := workload.NewPod(s)
		if err != nil {
			return nil, err
		}
		var writes []Write
		for _, claim := range claims {
			writes = append(writes, func() error { return w.CreateClaim(claim) })
		}
		return append(writes, func() error { return w.Create(pod) }, func() error { return w.open(pod.Name) }), nil
	}
	pod := w.podWith(s.Pod.UID)
	if pod == nil {
		return nil, nil
	}
	if s.Do == podset.Expand {
		patches, err := workload.(podset.Grower).Growth(s)
		var writes []Write
		for _, patch := range patches {
			writes = append(writes, func() error { return w.PatchClaim(patch) })
		}
		return writes, err
	}
	if s.Do == podset.Restore {
		body, claims, err := workload.(podset.Restorer).Restoration(s, pod)
		var writes []Write
		for _, claim := range claims {
			writes = append(writes, func() error { return w.CreateClaim(claim) })
		}
		if body != nil {
			writes = append(writes, func() error { return w.PatchPod(pod.Name, body) })
		}
		return writes, err
	}
	if s.Do == podset.Delete {
		writes := []Write{func() error { return w.Delete(pod.Name, pod.UID) }}
		for _, claim := range workload.ClaimsOf(s) {
			writes = append(writes, func() error { return w.DeleteClaim(claim.Name, claim.UID) })
		}
		return writes, nil
	}
	patches, err := s.Patches(workload, pod, w.Now)
	if err != nil {
		return nil, err
	}
	var writes []Write
	if patches.Status != nil {
		writes = append(writes, func() error { return w.PatchStatus(pod.Name, patches.Status) })
	}
	if patches.Pod != nil {
		writes = append(writes, func() error { return w.PatchPod(pod.Name, patches.Pod) })
	}
	if patches.Resize != nil {
		writes = append(writes, func() error { return w.PatchResize(pod.Name, patches.Resize) })
	}
	return writes, nil
}

// open opens the readiness gates of a pod, if it is still there.
func (w *World) open(name string) error {
	pod := w.Pod(name)
	if pod == nil {
		return nil
	}
	patches := inplace.Open(pod, w.Now)
	if patches.Status == nil {
		return nil
	}
	return w.PatchStatus(name, patches.Status)
}
