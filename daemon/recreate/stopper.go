package recreate

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/kit/store"
	"kruise.io/kruise/plan/restart"
)

// tries is how often a runtime may refuse to stop a container. One that does not answer is tried for as long as it takes.
const tries = 5

// Stopper stops containers, each once, beside the reconciler.
type Stopper struct {
	runtimes *cri.Node
	hooks    hooks
	clock    clock.Clock
	// ended is told of requests of which a stop has ended.
	ended func(request types.NamespacedName)
	// pauses are those between tries.
	pauses wait.Backoff
	// slots limits how many stops run at a time.
	slots chan struct{}

	started chan struct{} // is closed once stops may begin

	mu      sync.Mutex
	base    context.Context //nolint:containedctx // stops outlive the reconcile that begins them
	closed  bool
	running sync.WaitGroup
	of      map[types.UID]map[string]*attempt // by request and container
}

// attempt is what is known of a container of a request.
type attempt struct {
	restart.Attempt
	// mine is the container whose stop this process wrote down, until its hook is begun.
	mine string
	// stopping is the container whose stop was begun last, and next the one whose stop was written down meanwhile.
	stopping, next string
	// trouble is what is to be told of the hook.
	trouble string
}

// NewStopper makes a stopper. It tells ended of requests of which a stop has come to its end.
func NewStopper(o Options, ended func(request types.NamespacedName)) *Stopper {
	return &Stopper{
		runtimes: o.Runtimes, hooks: hooks{nodeAddress: o.Address}, clock: clock.RealClock{}, ended: ended,
		pauses: wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Cap: 5 * time.Second, Steps: 10},
		slots:  make(chan struct{}, stops), started: make(chan struct{}), of: map[types.UID]map[string]*attempt{},
	}
}

// Start lets stops begin. When the process is told to end, none is begun any more, and those that are under way are waited
// for.
func (s *Stopper) Start(ctx context.Context) error {
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.mu.Lock()
	s.base = lasting
	s.mu.Unlock()
	close(s.started)
	<-ctx.Done()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// Known is what this process knows of the containers of a request.
func (s *Stopper) Known(r *v1beta1.ContainerRecreateRequest) (attempts map[string]restart.Attempt, mine map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	attempts, mine = map[string]restart.Attempt{}, map[string]string{}
	for name, a := range s.of[r.UID] {
		attempts[name] = a.Attempt
		if a.mine != "" {
			mine[name] = a.mine
		}
	}
	return attempts, mine
}

// Troubles is what is to be told of the hooks of a request, each once.
func (s *Stopper) Troubles(r *v1beta1.ContainerRecreateRequest) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, a := range s.of[r.UID] {
		if a.trouble != "" {
			out = append(out, a.trouble)
			a.trouble = ""
		}
	}
	return out
}

// Remember notes the stops that are about to be written down.
func (s *Stopper) Remember(r *v1beta1.ContainerRecreateRequest, states []v1beta1.ContainerRecreateState) {
	written := map[string]bool{}
	for i := range r.Status.ContainerRecreateStates {
		if before := &r.Status.ContainerRecreateStates[i]; before.StopTime != nil {
			written[before.Name+" "+before.ContainerID] = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range states {
		state := &states[i]
		if state.StopTime == nil || written[state.Name+" "+state.ContainerID] {
			continue
		}
		switch a := s.attempt(r.UID, state.Name); {
		case !a.Running: // what became of the container before is over
			*a = attempt{mine: state.ContainerID}
		case a.stopping != state.ContainerID: // it soon will be
			a.next = state.ContainerID
		}
	}
}

// Forget drops what is known of a request that is gone. What was begun for it ends all the same.
func (s *Stopper) Forget(request types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, request)
}

func (s *Stopper) attempt(request types.UID, name string) *attempt {
	if s.of[request] == nil {
		s.of[request] = map[string]*attempt{}
	}
	if s.of[request][name] == nil {
		s.of[request][name] = &attempt{}
	}
	return s.of[request][name]
}

// Begin begins a stop and says whether it did: not when one is under way or done, and not when the process is ending.
func (s *Stopper) Begin(ctx context.Context, r *v1beta1.ContainerRecreateRequest, stop restart.Stop) bool {
	select {
	case <-s.started:
	case <-ctx.Done():
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.attempt(r.UID, stop.Name)
	if s.closed || a.Running || a.Done {
		return false
	}
	stop.Hook = stop.Hook && a.mine == stop.ID
	a.Running, a.mine, a.stopping = true, "", stop.ID // the hook is begun by nobody else from here on
	base := s.base
	s.running.Go(func() {
		s.slots <- struct{}{}
		defer func() { <-s.slots }()
		failure := s.carryOut(log.IntoContext(base, log.FromContext(ctx)), r, stop, a)
		s.mu.Lock()
		if a.next != "" {
			*a = attempt{mine: a.next, trouble: a.trouble}
		} else {
			a.Running, a.Done, a.Failure = false, failure == "", failure
		}
		s.mu.Unlock()
		s.ended(store.Key(r))
	})
	return true
}

// carryOut stops a container and says why it could not.
func (s *Stopper) carryOut(ctx context.Context, r *v1beta1.ContainerRecreateRequest, stop restart.Stop, a *attempt) string {
	since, grace := stop.Since, restart.Grace(r)
	if stop.Hook {
		since = s.clock.Now()
	}
	logger := log.FromContext(ctx).WithValues("pod", r.Namespace+"/"+r.Spec.PodName, "container", stop.Name, "id", stop.ID)
	refused := 0
	var last error
	err := s.pauses.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		runtime, id, err := s.runtimes.Of(ctx, stop.ID)
		if err == nil && stop.Hook && grace > 0 {
			stop.Hook = false
			if err := s.hooks.run(ctx, runtime, id, r, stop.Name, grace); err != nil {
				logger.Info("The preStop hook failed; the container is stopped all the same", "cause", err.Error())
				s.mu.Lock()
				a.trouble = "PreStopHook of container " + stop.Name + " failed: " + err.Error()
				s.mu.Unlock()
			}
		}
		if err == nil {
			err = runtime.Stop(ctx, id, max(grace-s.clock.Since(since), restart.LeastStop))
		}
		if err == nil {
			logger.Info("Stopped the container", "request", r.Name)
			return true, nil
		}
		last = err
		logger.Info("The container could not be stopped yet", "cause", err.Error())
		if !cri.Unreachable(err) {
			refused++
		}
		return refused >= tries, nil
	})
	if refused >= tries || err != nil {
		return "could not be stopped: " + errors.Join(last, err).Error()
	}
	return ""
}
