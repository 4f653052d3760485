package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// bench measures on a lab.
type bench struct {
	settings
	lab    *lab
	report *report
	pods   *podWatch
}

// component is the program under test.
type component struct {
	// process is its name among the processes, pid its process; empty and 0 for one that is not worth telling.
	process string
	pid     int
	// agents are the user agents of its requests.
	agents []string
	// idle is the share of a core that it used before there was anything to do.
	idle float64
	// manager is set for a kruise-manager.
	manager *manager
}

// phase is one thing that is done and timed.
type phase struct {
	name string
	// image is what all pods must run in the end; ready tells whether they must be available then.
	image string
	ready bool
	// before does what is not to be timed; it may be nil.
	before func(context.Context) error
	act    func(context.Context) error
	// reported asks whether the workload's status tells of the end; nil when there is none.
	reported func(context.Context) (bool, error)
}

// trial is one run of one scenario.
type trial interface {
	// component starts the program under test, or finds it.
	component(context.Context) (*component, error)
	phases() []phase
	// remove takes everything away again.
	remove(context.Context) error
}

// scenario is a way to have many pods.
type scenario struct {
	// group is what -only calls it.
	group, name string
	trial       func(b *bench, pods int) trial
	// perNode says that each node has one pod, so that there are to be as many nodes.
	perNode bool
}

func scenarios() []scenario {
	return []scenario{
		{group: "cloneset", name: "CloneSet", trial: with(newCloneSet)},
		{group: "deployment", name: "Deployment", trial: with(newDeployment)},
		{group: "bare", name: "bare loop", trial: func(b *bench, n int) trial { return newBareTrial(b, n, true) }},
		{group: "bare", name: "bare loop, no scheduler, no kubelets", trial: func(b *bench, n int) trial { return newBareTrial(b, n, false) }},
		{group: "statefulset", name: "StatefulSet", trial: with(newStatefulSet)},
		{group: "statefulset", name: "StatefulSet of Kubernetes", trial: with(newNativeStatefulSet)},
		{group: "daemonset", name: "DaemonSet", trial: with(newDaemonSet), perNode: true},
		{group: "daemonset", name: "DaemonSet of Kubernetes", trial: with(newNativeDaemonSet), perNode: true},
	}
}

// groups are the words that -only takes.
func groups() []string {
	var all []string
	for _, s := range scenarios() {
		all = append(all, s.group)
	}
	return slices.Compact(all)
}

// figures are what was measured of one phase.
type figures struct {
	// available is when the last pod was, reported when the status said so; 0 for a workload without one.
	available, reported time.Duration
	requests            tally
	agents              []string
	// cpu is the processor time of every process until everything was quiet again, own the component's part in it beyond
	// what it uses when idle.
	cpu map[string]time.Duration
	own time.Duration
	// wall is how long that took.
	wall       time.Duration
	peak       int64
	reconciles float64
}

// prepare does what is needed once.
func (b *bench) prepare(ctx context.Context) error {
	if b.profiles != "" {
		if err := os.MkdirAll(b.profiles, 0o755); err != nil {
			return fmt.Errorf("making the folder for profiles: %w", err)
		}
	}
	if err := b.lab.installCRDs(ctx); err != nil {
		return err
	}
	var err error
	b.pods, err = watchPods(ctx, b.lab.kube)
	return err
}

// measure runs one scenario once.
func (b *bench) measure(ctx context.Context, s scenario, pods int) (err error) {
	nodes := b.simulated
	if s.perNode {
		nodes = pods
	}
	if err := upLab(ctx, b.settings.lab, nodes); err != nil {
		return err
	}
	t := s.trial(b, pods)
	c, err := t.component(ctx)
	if err != nil {
		return err
	}
	if c.manager != nil {
		b.lab.processes[c.process] = c.pid
		defer func() {
			delete(b.lab.processes, c.process)
			err = errors.Join(err, c.manager.stop())
		}()
	}
	if err := b.pods.until(ctx, 0, func(condition) bool { return false }); err != nil {
		return err
	}
	if c.pid != 0 {
		if err := b.quiet(ctx); err != nil {
			return err
		}
		if c.idle, err = share(ctx, c.pid, b.idle); err != nil {
			return err
		}
		b.report.addIdle(s.name, 0, c.idle)
	}
	phases := t.phases()
	for _, p := range phases[:min(len(phases), 1+max(0, b.changes))] {
		f, err := b.phase(ctx, p, c, pods, fmt.Sprintf("%d-%s-%s", pods, s.name, p.name))
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		say("  %s: available after %.1fs, reported after %.1fs", p.name, f.available.Seconds(), f.reported.Seconds())
		b.report.add(s.name, p.name, pods, f)
	}
	if c.pid != 0 {
		idle, err := share(ctx, c.pid, b.idle)
		if err != nil {
			return err
		}
		b.report.addIdle(s.name, pods, idle)
	}
	if err := t.remove(ctx); err != nil {
		return err
	}
	return b.pods.until(ctx, 0, func(condition) bool { return false })
}

// phase measures one phase.
func (b *bench) phase(ctx context.Context, p phase, c *component, pods int, profile string) (figures, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.patience, fmt.Errorf("gave up after %s (-patience)", b.patience))
	defer cancel()
	f := figures{agents: c.agents}
	if p.before != nil {
		if err := p.before(ctx); err != nil {
			return f, err
		}
	}
	log := auditLog{path: b.lab.layout.AuditLog()}
	before, err := b.begin(ctx, &log, c)
	if err != nil {
		return f, err
	}
	finish := func() error { return nil }
	if b.profiles != "" && c.manager != nil {
		finish = c.manager.profile(ctx, b.lab, b.profiles, strings.ReplaceAll(profile, " ", "-"), int(b.profiling.Seconds()))
	}
	start := time.Now()
	if err := p.act(ctx); err != nil {
		return f, err
	}
	if p.ready {
		if err := b.pods.until(ctx, pods, available(p.image)); err != nil {
			return f, err
		}
	}
	f.available = time.Since(start)
	if p.reported != nil {
		if err := poll(ctx, p.reported); err != nil {
			return f, fmt.Errorf("waiting for the status: %w", err)
		}
		f.reported = time.Since(start)
	}
	if err := b.quiet(ctx); err != nil {
		return f, err
	}
	f.wall = time.Since(start)
	if err := b.end(ctx, &log, c, before, &f); err != nil {
		return f, err
	}
	return f, finish()
}

// start is what the counters showed when a phase began.
type start struct {
	cpu        map[string]time.Duration
	reconciles float64
}

func (b *bench) begin(ctx context.Context, log *auditLog, c *component) (start, error) {
	s := start{}
	if err := b.quiet(ctx); err != nil {
		return s, err
	}
	if err := log.skip(); err != nil {
		return s, err
	}
	var err error
	if c.manager != nil {
		if s.reconciles, err = c.manager.reconciles(ctx); err != nil {
			return s, err
		}
	}
	if c.pid != 0 {
		if err := forgetPeak(c.pid); err != nil {
			return s, err
		}
	}
	s.cpu, err = cpuOfAll(b.processes())
	return s, err
}

func (b *bench) end(ctx context.Context, log *auditLog, c *component, before start, f *figures) error {
	cpu, err := cpuOfAll(b.processes())
	if err != nil {
		return err
	}
	f.cpu = map[string]time.Duration{}
	for name, used := range cpu {
		f.cpu[name] = used - before.cpu[name]
	}
	if c.pid != 0 {
		f.own = max(0, f.cpu[c.process]-time.Duration(c.idle*float64(f.wall)))
		if f.peak, err = peakOf(c.pid); err != nil {
			return err
		}
	}
	if c.manager != nil {
		after, err := c.manager.reconciles(ctx)
		if err != nil {
			return err
		}
		f.reconciles = after - before.reconciles
	}
	f.requests, err = log.next()
	return err
}

// processes are those whose processor time is told: the lab's, and this one.
func (b *bench) processes() map[string]int {
	all := maps.Clone(b.lab.processes)
	all["scale"] = os.Getpid()
	return all
}

// quiet waits until the cluster has come to rest: for a second, all of it together used little of one core.
func (b *bench) quiet(ctx context.Context) error {
	const little = 0.25
	for {
		before, err := cpuOfAll(b.lab.processes)
		if err != nil {
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		after, err := cpuOfAll(b.lab.processes)
		if err != nil {
			return err
		}
		var used time.Duration
		for name := range after {
			used += after[name] - before[name]
		}
		if used.Seconds() < little {
			return nil
		}
	}
}

// share is the share of a core that a process uses for a while.
func share(ctx context.Context, pid int, span time.Duration) (float64, error) {
	before, err := cpuOf(pid)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := pause(ctx, span); err != nil {
		return 0, err
	}
	after, err := cpuOf(pid)
	if err != nil {
		return 0, err
	}
	return (after - before).Seconds() / time.Since(start).Seconds(), nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
