package probe

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/clock"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/plan/probe"
)

// parallel is how many attempts are under way at a time: after a restart of this process all probes are due at once.
const parallel = 32

// key names a probe of a pod on this node.
type key struct{ uid, name string }

// workers make the probes. Each has a goroutine of its own.
type workers struct {
	runtimes *cri.Node
	clock    clock.WithTicker
	// changed is called when a probe found something.
	changed func()
	slots   chan struct{}

	mu      sync.Mutex
	running sync.WaitGroup
	all     map[key]*worker
}

func newWorkers(runtimes *cri.Node, now clock.WithTicker) *workers {
	return &workers{runtimes: runtimes, clock: now, changed: func() {}, slots: make(chan struct{}, parallel), all: map[key]*worker{}}
}

// worker makes one probe.
type worker struct {
	*workers
	uid, address string
	probe        v1alpha1.ContainerProbe
	stop         context.CancelFunc

	// Of the goroutine alone:
	container string // the ID of the container that was probed last
	tally     probe.Tally

	// Under the lock of the workers:
	found  finding
	absent bool // nothing was found yet
	told   bool // what was found has been told
}

// finding is what a probe found.
type finding struct {
	state   v1alpha1.ProbeState
	message string
	at      time.Time
}

// keep lets exactly the probes of pods be made, from what they found before. Those that are made already, in the same way, go on.
func (w *workers) keep(ctx context.Context, pods []v1alpha1.PodProbe, before func(key) v1alpha1.ProbeState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wanted := map[key]bool{}
	for i := range pods {
		pod := &pods[i]
		for _, p := range pod.Probes {
			k := key{pod.UID, p.Name}
			wanted[k] = true
			old := w.all[k]
			if old != nil && old.address == pod.IP && equality.Semantic.DeepEqual(old.probe, p) {
				continue
			}
			made := &worker{workers: w, uid: pod.UID, address: pod.IP, probe: p, absent: true, tally: probe.Tally{State: before(k)}}
			if old != nil {
				old.stop()
				if !old.absent {
					made.found, made.absent, made.told, made.tally = old.found, false, old.told, probe.Tally{State: old.found.state}
				}
			}
			var life context.Context
			life, made.stop = context.WithCancel(ctx)
			w.all[k] = made
			w.running.Go(func() { made.run(life) })
		}
	}
	for k, old := range w.all {
		if !wanted[k] {
			old.stop()
			delete(w.all, k)
		}
	}
}

// of is what a probe found since this process runs.
func (w *workers) of(k key) (finding, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.all[k]; one != nil && !one.absent {
		return one.found, true
	}
	return finding{}, false
}

// untold says whether what a probe found has not been told yet. From then on it has.
func (w *workers) untold(k key) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.all[k]
	if one == nil || one.told {
		return false
	}
	one.told = true
	return true
}

// run makes the probe until it is told to stop.
func (w *worker) run(ctx context.Context) {
	pause := time.Duration(0)
	for {
		timer := w.clock.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		}
		select {
		case <-ctx.Done():
			return
		case w.slots <- struct{}{}:
		}
		pause = w.once(ctx)
		<-w.slots
	}
}

// once makes the probe once, unless the container has only just been made, and returns when to make it again.
func (w *worker) once(ctx context.Context) time.Duration {
	spec := &w.probe.Probe
	period := time.Duration(max(spec.PeriodSeconds, 1)) * time.Second
	runtime, container, err := w.target(ctx)
	if err != nil {
		w.note(ctx, probe.Trouble, bounded(err.Error()))
		return period
	}
	if !container.Running {
		w.note(ctx, probe.Trouble, "the container does not run")
		return period
	}
	if early := container.Created.Add(time.Duration(spec.InitialDelaySeconds) * time.Second).Sub(w.clock.Now()); early > 0 {
		return early
	}
	if w.container != container.ID {
		w.container, w.tally = container.ID, w.tally.Anew()
	}
	outcome, message := attempt(ctx, spec, w.address, runtime, container.ID)
	w.note(ctx, outcome, message)
	return period
}

// target is the container to probe, and its runtime.
func (w *worker) target(ctx context.Context) (*cri.Runtime, cri.Container, error) {
	runtime, err := w.runtimes.First(ctx)
	if err != nil {
		return nil, cri.Container{}, err
	}
	containers, err := runtime.Containers(ctx, w.uid)
	return runtime, containers[w.probe.ContainerName], err
}

// note takes down the outcome of an attempt. What a probe says counts when what it found changes.
func (w *worker) note(ctx context.Context, outcome probe.Outcome, message string) {
	if ctx.Err() != nil { // nobody waits for it
		return
	}
	w.tally = w.tally.After(outcome, &w.probe.Probe)
	if w.tally.State == "" {
		return
	}
	w.mu.Lock()
	news := w.absent || w.found.state != w.tally.State
	if news {
		w.found, w.absent, w.told = finding{w.tally.State, message, w.clock.Now()}, false, false
	}
	w.mu.Unlock()
	if news {
		w.changed()
	}
}
