// Package progress tells a person who waits what is being done and how long it takes. It promises one line when a step
// begins, one line every so often while it goes on, and one line with the duration when it ends, so that nobody has
// to guess whether a long build still moves. Lines of steps that run side by side never mix.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Reporter writes the lines. Make it with New.
type Reporter struct {
	mu        sync.Mutex
	out       io.Writer
	heartbeat time.Duration
}

// New returns a Reporter that writes to out and says every 20 seconds that a step still goes on.
func New(out io.Writer) *Reporter {
	return &Reporter{out: out, heartbeat: 20 * time.Second}
}

// Say writes one line.
func (r *Reporter) Say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// A progress line that cannot be written is no reason to stop the work.
	_, _ = fmt.Fprintf(r.out, format+"\n", args...)
}

// Do runs a step and reports its beginning, its going on and its end. It returns the error of the step as it is.
func (r *Reporter) Do(what string, step func() error) error {
	r.Say("%s ...", what)
	start := time.Now()
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(r.heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				r.Say("%s ... %s so far", what, Round(time.Since(start)))
			}
		}
	}()
	err := step()
	close(done)
	<-stopped
	if err != nil {
		r.Say("%s: failed after %s", what, Round(time.Since(start)))
		return err
	}
	r.Say("%s: done in %s", what, Round(time.Since(start)))
	return nil
}

// Round drops the digits that nobody reads: tenths below a minute, seconds above.
func Round(d time.Duration) time.Duration {
	if d < time.Minute {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}
