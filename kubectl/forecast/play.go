package forecast

import (
	"context"
	"fmt"
	"slices"
	"time"

	"kruise.io/kruise/kubectl/explain"
	"kruise.io/kruise/kubectl/kinds"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

// Options say what to assume.
type Options struct {
	// Manager are the options of the manager.
	Manager workload.Options
	// StartTakes is how long a container takes to start.
	StartTakes time.Duration
	// LiftHooks lets go of every hook as soon as it is waited for. Otherwise hooks are held as they are.
	LiftHooks bool
	// Progress is told now and then how far the forecast is; may be nil.
	Progress func(waves int, at time.Duration)
}

// mostRounds bounds how often the controller may act, so that a forecast ends.
const mostRounds = 1_000_000

// Foresee plays the rollout of a workload from how things are at a time to where nothing happens any more.
func Foresee(ctx context.Context, set kinds.Workload, owned kinds.Owned, now time.Time, o Options) (*Forecast, error) {
	p := &player{w: world.New(), set: set.Copy(), owned: owned, began: now, options: o}
	p.w.Now, p.w.StartTakes = now, o.StartTakes
	if p.w.AnyNode = len(owned.Nodes) == 0; !p.w.AnyNode {
		p.w.Nodes = owned.Nodes
	}
	pods := owned.Pods
	if set.Kind().Cluster {
		pods = kinds.Apart(owned.All)
	}
	p.w.Import(pods, owned.AllClaims)
	view, err := p.view()
	if err != nil {
		return nil, err
	}
	before, err := explain.Explain(p.set, view, kinds.Protection{}, now)
	if err != nil {
		return nil, err
	}
	p.recorder.least = before.Counts.Available
	rested, err := p.play(ctx)
	if err != nil {
		return nil, err
	}
	if view, err = p.view(); err != nil {
		return nil, err
	}
	rest, err := explain.Explain(p.set, view, kinds.Protection{}, p.w.Now)
	if err != nil {
		return nil, err
	}
	f := &Forecast{
		Kind: set.Kind().Name, Namespace: set.Object().GetNamespace(), Name: set.Object().GetName(), Assumptions: p.assumptions(view),
		Before: before.Counts, After: rest.Counts, Revision: before.Revision, Others: before.Others,
		Waves: p.recorder.waves, Takes: inSeconds(rested), LeastAvailable: p.recorder.least, Rest: rest,
	}
	if n := len(f.Waves); n > 0 {
		f.Waves[n-1].Until = f.Takes
		for i := range f.Waves {
			f.Waves[i].LeastAvailable = min(f.Waves[i].LeastAvailable, rest.Counts.Available)
		}
	}
	return f, nil
}

// player plays one rollout.
type player struct {
	w        *world.World
	set      kinds.Workload
	owned    kinds.Owned
	began    time.Time
	options  Options
	recorder recorder
	ids      int
}

// play lets controller and cluster act in turns, a second at a time, until no more happens, and returns when that was.
func (p *player) play(ctx context.Context) (time.Duration, error) {
	quiet := p.options.StartTakes + 5*time.Second // more than anything in the model takes
	var last podset.Tally
	changed := p.w.Now
	for range mostRounds {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		view, err := p.view()
		if err != nil {
			return 0, err
		}
		plan, err := view.Plan(p.w.Now)
		if err == nil {
			err = view.Act(p.w, plan)
			view.Report(plan.Tally)
		}
		if err != nil {
			return 0, err
		}
		at := p.w.Now.Sub(p.began)
		p.recorder.letGo(at, view.Strays)
		p.recorder.see(at, plan)
		if p.options.Progress != nil {
			p.options.Progress(len(p.recorder.waves), at)
		}
		if len(plan.Steps) > 0 || plan.Tally != last {
			last, changed = plan.Tally, p.w.Now
		}
		tick := time.Second
		if p.w.Now.Sub(changed) > quiet {
			if plan.Wake.IsZero() {
				return changed.Sub(p.began), nil
			}
			tick = max(plan.Wake.Sub(p.w.Now), time.Second) // nothing happens before
		}
		p.w.Tick(tick)
		p.w.OpenGates()
		if err := p.lift(view.Hooks); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("no end is in sight after %s", p.w.Now.Sub(p.began))
}

// view is the workload with what belongs to it in the modelled cluster. A new template is a revision at once.
func (p *player) view() (*kinds.View, error) {
	owned := p.owned
	owned.Nodes = p.w.Nodes
	owned.Sort(p.set.Object(), p.w.Pods, p.w.Claims)
	view, err := p.set.View(owned, p.options.Manager, p.newID)
	if err != nil || view.Newest != nil {
		return view, err
	}
	p.owned.Revisions = append(slices.Clone(p.owned.Revisions), view.NewRevision())
	owned.Revisions = p.owned.Revisions
	return p.set.View(owned, p.options.Manager, p.newID)
}

func (p *player) newID() string {
	p.ids++
	return fmt.Sprintf("new-%d", p.ids)
}

func (p *player) assumptions(view *kinds.View) []string {
	out := append([]string{
		fmt.Sprintf("a container starts in %s (--start-takes)", p.options.StartTakes),
		"what is broken now stays broken until its image changes", "new pods find a node",
	}, view.Assumptions...)
	if view.Hooks != nil {
		if p.options.LiftHooks {
			return append(out, "hooks let go at once (--hooks=lift)")
		}
		return append(out, "hooks hold as they do now (--hooks=hold)")
	}
	return out
}
