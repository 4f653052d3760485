package story

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
	"kruise.io/kruise/plan/storage"
)

// Lineup is the pods of a StatefulSet by their ordinals, as the promises of package podset speak of them.
type Lineup struct {
	// Places are the pods at the wanted ordinals, nil where there is none.
	Places []*replica.Replica
	// Condemned are the pods at other ordinals.
	Condemned []*replica.Replica
}

// LineupOf puts the pods in line.
func LineupOf(s *podset.Sequence, pods []replica.Replica) Lineup {
	l := Lineup{Places: make([]*replica.Replica, len(s.Ordinals))}
	for i := range pods {
		if place := l.placeOf(s, pods[i].Slot); place >= 0 {
			l.Places[place] = &pods[i]
		} else {
			l.Condemned = append(l.Condemned, &pods[i])
		}
	}
	return l
}

func (l Lineup) placeOf(s *podset.Sequence, slot string) int {
	ordinal, err := strconv.Atoi(slot)
	if err != nil {
		return -1
	}
	return slices.Index(s.Ordinals, ordinal)
}

// Serving counts the pods at wanted ordinals that are available, and all that are.
func (l Lineup) Serving() (wanted, all int) {
	for _, r := range l.Places {
		if r != nil && r.Active() && r.Available {
			wanted++
		}
	}
	all = wanted
	for _, r := range l.Condemned {
		if r.Active() && r.Available {
			all++
		}
	}
	return wanted, all
}

// stays says whether a pod is neither on its way out nor asked to go.
func stays(r *replica.Replica) bool {
	return r != nil && r.Active() && !r.SpecifiedDelete && r.State != lifecycle.PreparingDelete
}

// Old are the places of the pods that stay and are not of the newest revision.
func (l Lineup) Old(s *podset.Sequence) (places []int) {
	for place, r := range l.Places {
		if stays(r) && !s.IsNew(r.Revision) {
			places = append(places, place)
		}
	}
	return places
}

// CheckServing checks that no step took more pods out of service than maxUnavailable lets.
func (l Lineup) CheckServing(s *podset.Sequence, pods []replica.Replica) error {
	least := len(s.Ordinals) - s.MaxUnavailable
	wanted, all := l.Serving()
	wantedNow, allNow := LineupOf(s, pods).Serving()
	return errors.Join(atLeast(min(wanted, least), wantedNow, "wanted pods"), atLeast(min(all, least), allNow, "pods"))
}

// CheckSequence says which promise a plan for these pods breaks: one step for a pod, its life cycle, one pod at an ordinal, the
// partition, the pause, the order, and a note for all that is wanted and makes no step.
func CheckSequence(s *podset.Sequence, pods []replica.Replica, plan podset.Plan) error {
	if _, err := Moves(plan, s.IsNew); err != nil {
		return err
	}
	l := LineupOf(s, pods)
	c := checker{Sequence: s, Lineup: l, taken: map[int]podset.Step{}, created: map[int]bool{}}
	touched := map[string]bool{}
	for _, step := range plan.Steps {
		if step.Do == podset.Create {
			if err := c.creation(step); err != nil {
				return err
			}
			continue
		}
		if touched[step.Pod.Name] {
			return fmt.Errorf("two steps for pod %s", step.Pod.Name)
		}
		touched[step.Pod.Name] = true
		if err := c.change(step); err != nil {
			return err
		}
	}
	if err := errors.Join(c.order(), c.scaleIn(), c.partition()); err != nil {
		return err
	}
	return c.notes(plan, touched)
}

// checker checks one plan.
type checker struct {
	*podset.Sequence
	Lineup
	created map[int]bool        // places
	taken   map[int]podset.Step // places of pods that are updated
	removed []*replica.Replica  // condemned pods
}

func (c *checker) creation(step podset.Step) error {
	place := c.placeOf(c.Sequence, step.Slot)
	switch {
	case place < 0:
		return fmt.Errorf("a pod is created at ordinal %s, which is not wanted", step.Slot)
	case c.Places[place] != nil || c.created[place]:
		return fmt.Errorf("a second pod at ordinal %s", step.Slot)
	case !c.Unordered && !c.OnDelete && (place < c.Partition) != (revision.ShortHash(step.To) == revision.ShortHash(c.CurrentRevision)) && !c.IsNew(c.CurrentRevision):
		return fmt.Errorf("a pod of revision %s at place %d, with a partition of %d", step.To, place, c.Partition)
	}
	c.created[place] = true
	if !c.Ordered {
		return nil
	}
	for _, before := range c.Places[:place] {
		if before == nil || !before.Active() || !before.Available {
			return fmt.Errorf("a pod is created at ordinal %s before those below it are available", step.Slot)
		}
	}
	return nil
}

func (c *checker) change(step podset.Step) error {
	r := step.Pod
	place := c.placeOf(c.Sequence, r.Slot)
	leaves := step.Do == podset.Delete || step.Do == podset.Move && step.State == lifecycle.PreparingDelete
	updates := step.Do == podset.Update || step.Do == podset.Expand || step.Do == podset.Move && step.State == lifecycle.PreparingUpdate
	switch {
	case step.Do == podset.Restore && (place < 0 || !r.Active() || r.Lost == replica.LostNothing):
		return fmt.Errorf("pod %s has lost nothing, or is not wanted, and is restored", r.Name)
	case updates && (c.Paused || c.OnDelete):
		return errors.New("an update although it is paused or on delete")
	case updates && place < 0:
		return fmt.Errorf("pod %s is updated and not wanted", r.Name)
	case step.Do == podset.Update && revision.ShortHash(step.To) == revision.ShortHash(r.Revision):
		return fmt.Errorf("pod %s is updated to the revision that it has", r.Name)
	case step.Do == podset.Expand && c.Claims(c.Ordinals[place]).Stage != storage.Small:
		return fmt.Errorf("the claims of pod %s grow and are large enough", r.Name)
	case place < 0 && leaves && r.Active() && r.State != lifecycle.PreparingDelete:
		c.removed = append(c.removed, r)
	case place >= 0 && stays(r) && (leaves || updates):
		if leaves && (c.Paused || c.OnDelete || c.IsNew(r.Revision)) {
			return fmt.Errorf("pod %s is to stay, and goes", r.Name)
		}
		c.taken[place] = step
	}
	return nil
}

// partition checks that no more old pods are touched than the partition lets.
func (c *checker) partition() error {
	old := c.Old(c.Sequence)
	if c.Unordered {
		taken := 0
		for _, place := range old {
			if _, ok := c.taken[place]; ok {
				taken++
			}
		}
		if taken > max(len(old)-c.Partition, 0) {
			return fmt.Errorf("%d of %d old pods are updated, with a partition of %d", taken, len(old), c.Partition)
		}
		return nil
	}
	for place, step := range c.taken {
		if place < c.Partition {
			return fmt.Errorf("pod %s is updated behind the partition", step.Pod.Name)
		}
	}
	return nil
}

// order checks that of the pods that serve none is updated before one of a higher ordinal.
func (c *checker) order() error {
	if len(c.created) > 1 && c.Ordered {
		return errors.New("two pods are created at a time")
	}
	if c.Unordered {
		return nil
	}
	last := -1
	for place := range c.taken {
		if c.Places[place].Available && (last < 0 || place < last) {
			last = place
		}
	}
	for _, place := range c.Old(c.Sequence) {
		r := c.Places[place]
		_, taken := c.taken[place]
		if last >= 0 && place > last && !taken && r.Available && !c.waits(r, place) {
			return fmt.Errorf("pod %s is updated before %s", c.Places[last].Name, r.Name)
		}
	}
	return nil
}

// waits says whether a pod cannot be updated now whatever the budget is.
func (c *checker) waits(r *replica.Replica, place int) bool {
	growing := c.Claims != nil && c.Claims(c.Ordinals[place]).Stage == storage.Growing
	return growing || c.Policy == v1beta1.InPlaceOnlyPodUpdatePolicyType && !c.Change(r.Revision, c.UpdateRevision).Possible()
}

// scaleIn checks that pods which are not wanted go in their order.
func (c *checker) scaleIn() error {
	if !c.Ordered || len(c.removed) == 0 {
		return nil
	}
	if len(c.removed) > 1 {
		return errors.New("two pods are removed at a time")
	}
	ordinal := func(r *replica.Replica) int { n, _ := strconv.Atoi(r.Slot); return n }
	for _, r := range c.Condemned {
		if ordinal(r) > ordinal(c.removed[0]) {
			return fmt.Errorf("pod %s is removed before %s is gone", c.removed[0].Name, r.Name)
		}
	}
	if wanted, _ := c.Serving(); c.removed[0].Available && wanted < len(c.Ordinals) {
		return fmt.Errorf("pod %s serves, and is removed while others do not", c.removed[0].Name)
	}
	return nil
}

// notes checks that a plan says why every wish waits that makes no step. touched are the names of the pods that have one.
func (c *checker) notes(plan podset.Plan, touched map[string]bool) error {
	has := func(wishes ...podset.Wish) bool {
		return slices.ContainsFunc(plan.Notes, func(n podset.Note) bool { return n.Because != "" && slices.Contains(wishes, n.Wish) })
	}
	old, kept := 0, 0
	for _, place := range c.Old(c.Sequence) {
		if _, taken := c.taken[place]; !taken && (c.Unordered || place >= c.Partition) {
			old++
		}
	}
	if c.Unordered {
		kept = c.Partition
	}
	missing, away, leaving, doomed := -len(c.created), 0, 0, 0
	for _, r := range slices.Concat(c.Places, c.Condemned) {
		switch {
		case r == nil:
			missing++
		case !r.Active():
		case r.State == lifecycle.PreparingDelete:
			leaving += yes(!touched[r.Name])
		case !stays(r) || slices.Contains(c.Condemned, r):
			doomed += yes(!touched[r.Name])
		case !r.Available:
			away++
		}
	}
	switch {
	case missing > 0 && !has(podset.WishScaleOut):
		return errors.New("pods are missing, and no note says why")
	case leaving+doomed > 0 && !has(podset.WishScaleIn):
		return errors.New("pods are to go, and no note says why they stay")
	case old > kept && !has(podset.WishUpdate):
		return errors.New("pods are old, and no note says why")
	case away > 0 && !has(podset.WishAvailable):
		return errors.New("pods are unavailable, and no note says so")
	}
	return nil
}

// checkNames checks that every pod of a set has its own name as its host name, and that its claims are there.
func checkNames(w *world.World) error {
	for _, pod := range controlledIn(w) {
		if pod.Spec.Hostname != pod.Name {
			return fmt.Errorf("pod %s has the host name %q", pod.Name, pod.Spec.Hostname)
		}
		for _, v := range pod.Spec.Volumes {
			if v.PersistentVolumeClaim != nil && w.Claim(v.PersistentVolumeClaim.ClaimName) == nil {
				return fmt.Errorf("pod %s is there, and its claim %s is not", pod.Name, v.PersistentVolumeClaim.ClaimName)
			}
		}
	}
	return nil
}
