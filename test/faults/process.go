package faults

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Failed reconciles are repeated with growing pauses between these, as the controller asks its queue for.
const (
	shortestBackoff = 50 * time.Millisecond
	longestBackoff  = 30 * time.Second
)

// process is one life of the process under test: its caches, its queue and its memory.
type process struct {
	machine    *machine
	mirrors    map[string]*mirror
	client     client.Client
	reconciler reconcile.Reconciler
	dead       bool

	// The queue: whether the object is in it, when it is put there again, and how often it failed.
	queued   bool
	due      time.Time
	failures int

	// The reconcile under way: when it began, the set that it read, and what it decides on.
	began time.Time
	set   client.Object
	view  *view
	// statusAt is when the status was last written, and statusSkew how far the clock was ahead then.
	statusAt   time.Time
	statusSkew time.Duration

	mu      sync.Mutex
	waiting []*request
	arrived chan struct{}
}

// start starts a process that knows nothing but what is stored.
func (m *machine) start() error {
	p := &process{machine: m, mirrors: map[string]*mirror{}, queued: true, arrived: make(chan struct{}, 1)}
	for _, kind := range m.kinds {
		listed := func() {}
		if kind == kindPod {
			listed = p.look
		}
		wakes := awakened
		switch {
		case kind == kindNode:
			wakes = p.nodeMatters
		case kind == kindPod && m.kind.guests:
			wakes = isGuest
		}
		p.mirrors[kind] = newMirror(kind, m.tables[kind], m.mutant.cachesLie, listed, wakes)
	}
	p.client = apiClient{process: p}
	if m.mutant.client != nil {
		p.client = m.mutant.client(p.client)
	}
	var err error
	if p.reconciler, err = m.kind.reconciler(m.ctx, host{process: p}, clock{m}, m.options); err != nil {
		return fmt.Errorf("make the reconciler: %w", err)
	}
	if m.mutant.reconciler != nil {
		p.reconciler = m.mutant.reconciler(p.reconciler)
	}
	for _, kind := range m.kinds { // after the reconciler was made, which adds indexes
		if err := p.mirrors[kind].relist(m.version); err != nil {
			return err
		}
	}
	m.process = p
	return nil
}

// call sends a request and waits for its answer.
func (p *process) call(_ context.Context, r *request) error {
	r.turn = make(chan struct{})
	p.mu.Lock()
	p.waiting = append(p.waiting, r)
	p.mu.Unlock()
	select {
	case p.arrived <- struct{}{}:
	default:
	}
	<-r.turn
	return r.err
}

// next picks one of the requests that wait, in an order that only the seed decides.
func (p *process) next() *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		return nil
	}
	slices.SortFunc(p.waiting, func(a, b *request) int { return cmp.Compare(a.String(), b.String()) })
	i := p.machine.rng.IntN(len(p.waiting))
	r := p.waiting[i]
	p.waiting = slices.Delete(p.waiting, i, i+1)
	return r
}

// wanted says whether the queue would hand out the object now.
func (p *process) wanted() bool {
	return p.queued || !p.due.IsZero() && !p.machine.world.Now.Before(p.due)
}

// outcome is what a reconcile returns.
type outcome struct {
	result reconcile.Result
	err    error
}

// reconcile runs one reconcile to its end and serves its requests one by one. All of its goroutines wait for an answer, or
// for time to pass, whenever the next request is picked.
func (m *machine) reconcile() {
	p := m.process
	p.queued = false
	if !p.due.IsZero() && !m.world.Now.Before(p.due) {
		p.due = time.Time{}
	}
	p.began, p.set, p.view, m.reconciling = m.now(), nil, nil, true
	done := make(chan outcome, 1)
	ctx := log.IntoContext(m.ctx, logr.Discard())
	go func() {
		result, err := p.reconciler.Reconcile(ctx, reconcile.Request{NamespacedName: m.kind.key()})
		done <- outcome{result, err}
	}()
	for {
		synctest.Wait()
		if r := p.next(); r != nil {
			m.serve(p, r)
			close(r.turn)
			continue
		}
		select {
		case o := <-done:
			m.reconciling = false
			m.reconciled(p, o)
			return
		case <-p.arrived:
		}
	}
}

// reconciled puts the object back into the queue as controller-runtime does.
func (m *machine) reconciled(p *process, o outcome) {
	m.reconciles++
	m.tracef("reconciled: again after %s, error %v", o.result.RequeueAfter, o.err)
	if p.dead {
		m.must(m.start())
		return
	}
	var wait time.Duration
	switch {
	case o.err != nil:
		wait = min(shortestBackoff<<min(p.failures, 20), longestBackoff)
		p.failures++
	case o.result.RequeueAfter > 0:
		wait, p.failures = o.result.RequeueAfter, 0
	default:
		p.failures = 0
		return
	}
	if due := m.world.Now.Add(wait); p.due.IsZero() || due.Before(p.due) {
		p.due = due
	}
}

// serve answers one request, with the faults that the script has for it.
func (m *machine) serve(p *process, r *request) {
	m.requests++
	fate := m.fateOf(r)
	if p.dead {
		r.err = errCrashed
		m.tracef("%s: the process is dead", r)
		return
	}
	if fate.err != nil && !fate.after {
		r.err = fate.err
		m.tracef("%s: refused: %v", r, fate.err)
		return
	}
	before := m.tables[r.kind].objects[r.name]
	r.err = r.run(fate.err == nil && !fate.crash)
	m.tracef("%s: %v (version %d)", r, r.err, m.version)
	if r.err == nil && r.writes() {
		m.written(p, r, before, m.tables[r.kind].objects[r.name])
	}
	if r.err == nil && fate.err == nil && !fate.crash {
		m.answered(p, r)
	}
	if fate.err != nil {
		r.err = fate.err
		m.tracef("%s: its answer is lost: %v", r, fate.err)
	}
	if fate.crash {
		p.dead, r.err = true, errCrashed
		m.tracef("%s: the process dies before the answer", r)
	}
}
