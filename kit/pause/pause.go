// Package pause remembers for how long what fails again and again is to be left alone.
//
// It promises pauses that double from failure to failure, up to a longest one, and begin anew when all went well for twice
// that long. It forgets when the process ends. It may be used by several at a time.
package pause

import (
	"sync"
	"time"

	"k8s.io/client-go/util/flowcontrol"
)

// Pauses are the pauses of things, by their names.
type Pauses struct {
	backoff *flowcontrol.Backoff
	longest time.Duration

	mu    sync.Mutex
	until map[string]time.Time
}

// New makes pauses between the first and the longest.
func New(first, longest time.Duration) *Pauses {
	return &Pauses{backoff: flowcontrol.NewBackOff(first, longest), longest: longest, until: map[string]time.Time{}}
}

// Until is when the pause of a thing ends; zero for one that never failed.
func (p *Pauses) Until(name string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until[name]
}

// Failed says that a thing failed, which begins its next pause.
func (p *Pauses) Failed(name string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, until := range p.until {
		if now.Sub(until) > 2*p.longest { // its next pause would be the first one again
			delete(p.until, other)
			p.backoff.DeleteEntry(other)
		}
	}
	p.backoff.Next(name, now)
	p.until[name] = now.Add(p.backoff.Get(name))
}
