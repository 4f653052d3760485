package podset

import (
	"fmt"
	"strings"

	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/storage"
)

// seeClaims looks at the claims of the pods that stay.
func (d *sequel) seeClaims() {
	d.claims = make([]storage.State, len(d.slots))
	for place, r := range d.slots {
		if r != nil && r.Active() && !d.isDoomed(r) {
			d.claims[place] = d.Claims(d.Ordinals[place])
		}
	}
}

// small are the pods of the newest revision whose claims are to grow, as far as the partition lets.
func (d *sequel) small() []*replica.Replica {
	return filter(d.idle.new, func(r *replica.Replica) bool {
		place := d.place(r)
		return d.claims[place].Stage == storage.Small && (d.Unordered || place >= d.Partition)
	})
}

// growing counts the pods with growing claims that are not among the broken ones of the newest revision.
func (d *sequel) growing() (n int) {
	for place, state := range d.claims {
		if state.Stage == storage.Growing {
			r := d.slots[place]
			n += one(!d.IsNew(r.Revision) || r.Available && r.Stage == inplace.Done)
		}
	}
	return n
}

// noteClaims says which claims grow, and which will with the next start of their pod.
func (d *sequel) noteClaims() {
	for _, stage := range []storage.Stage{storage.Growing, storage.AtRestart} {
		const most = 3
		var words []string
		n := 0
		for _, state := range d.claims {
			if state.Stage != stage {
				continue
			}
			if n++; n <= most {
				words = append(words, fmt.Sprintf("%s (%s)", state.Claim, state.Why))
			}
		}
		if n == 0 {
			continue
		}
		because := "waiting for claim " + strings.Join(words, ", ")
		if n > most {
			because += fmt.Sprintf(" and %d more", n-most)
		}
		why := CauseClaims
		if stage == storage.AtRestart {
			why = CauseRestart
		}
		d.note(WishGrow, n, because, cause{Cause: why})
	}
}
