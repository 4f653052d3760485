package images

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/plan/images"
)

const (
	// lastPause is the longest pause between two attempts.
	lastPause = 30 * time.Second
	// pulledBy is the annotation of a pull's sandbox that says who wants it.
	pulledBy = "apps.kruise.io/pulling-image-by"
)

// Defaults of a task.
const (
	defaultTimeout = 600 // seconds
	defaultBackoff = 3
)

// errDeadline is why a task ends at its deadline.
var errDeadline = errors.New("pulling exceeds the activeDeadlineSeconds")

// order is a task as it is now: it may be changed while it is worked on.
type order struct {
	task    v1beta1.ImageTagSpec
	secrets []v1beta1.ReferenceObject
	sandbox v1beta1.SandboxConfig
}

// pull is a task that is worked on. It is known by the version of the task and the time at which its round began.
type pull struct {
	ref    images.Ref
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	order  order
	status v1beta1.ImageTagStatus
}

// puller is what all pulls of a node have in common.
type puller struct {
	runtimes *cri.Node
	keys     *keyring
	clock    clock.Clock
	slots    chan struct{} // nil for no limit
	pause    time.Duration // after the first attempt
	changed  func()        // is called when the status of a pull has changed
}

// sameRound says whether a pull is for the present round of a task.
func (p *pull) sameRound(task *v1beta1.ImageTagSpec) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.order.task.Version == task.Version && p.order.task.CreatedAt.Equal(task.CreatedAt)
}

// update tells a pull what its task is now.
func (p *pull) update(o order) {
	p.mu.Lock()
	p.order = o
	p.mu.Unlock()
}

func (p *pull) now() order {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.order
}

// Status is how far the pull is.
func (p *pull) Status() v1beta1.ImageTagStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

func (u *puller) set(p *pull, change func(*v1beta1.ImageTagStatus)) {
	p.mu.Lock()
	change(&p.status)
	p.mu.Unlock()
	u.changed()
}

// second is the time as a status can tell it.
func (u *puller) second() *metav1.Time {
	return &metav1.Time{Time: u.clock.Now().Truncate(time.Second)}
}

// begin begins a pull. started is when it began before, in another life of the daemon; nil for now.
func (u *puller) begin(ctx context.Context, ref images.Ref, o order, started *metav1.Time) *pull {
	ctx, cancel := context.WithCancel(ctx)
	p := &pull{ref: ref, cancel: cancel, done: make(chan struct{}), order: o, status: v1beta1.ImageTagStatus{
		Tag: ref.Tag, Version: o.task.Version, Phase: v1beta1.ImagePhaseWaiting, StartTime: started,
	}}
	go func() {
		defer close(p.done)
		defer cancel()
		u.run(ctx, p)
	}()
	return p
}

// run works on a pull until it ends, or is taken back.
func (u *puller) run(ctx context.Context, p *pull) {
	if u.slots != nil {
		select {
		case u.slots <- struct{}{}:
			defer func() { <-u.slots }()
		case <-ctx.Done():
			return
		}
	}
	u.set(p, func(s *v1beta1.ImageTagStatus) {
		s.Phase = v1beta1.ImagePhasePulling
		if s.StartTime == nil {
			s.StartTime = u.second()
		}
	})
	id, err := u.attempts(ctx, p)
	if ctx.Err() != nil {
		return // nobody wants it any more
	}
	u.set(p, func(s *v1beta1.ImageTagStatus) {
		s.CompletionTime = u.second()
		if err != nil {
			s.Phase, s.Message = v1beta1.ImagePhaseFailed, err.Error()
			return
		}
		s.Phase, s.Progress, s.ImageID, s.Message = v1beta1.ImagePhaseSucceeded, 100, id, ""
	})
}

// attempts tries until it works, or until no further attempt is allowed.
func (u *puller) attempts(ctx context.Context, p *pull) (id string, err error) {
	pause := u.pause
	for failed := 0; ; {
		limits := ptr.Deref(p.now().task.PullPolicy, v1beta1.ImageTagPullPolicy{})
		left, ends := u.left(p.now().task)
		if ends && left <= 0 {
			return "", errDeadline
		}
		timeout := time.Duration(ptr.Deref(limits.TimeoutSeconds, defaultTimeout)) * time.Second
		atDeadline := ends && left < timeout
		if atDeadline {
			timeout = left
		}
		var away bool
		id, away, err = u.attempt(ctx, p, timeout)
		switch {
		case err == nil || ctx.Err() != nil:
			return id, err
		case atDeadline && errors.Is(err, errTimeout):
			return "", errDeadline
		case !away:
			if failed++; failed > int(ptr.Deref(limits.BackoffLimit, defaultBackoff)) {
				return "", err
			}
		}
		u.set(p, func(s *v1beta1.ImageTagStatus) { s.Message = err.Error() })
		select {
		case <-u.clock.After(pause):
		case <-ctx.Done():
			return "", ctx.Err()
		}
		pause = min(2*pause, lastPause)
	}
}

// left is how much time a task has until its deadline, if it has one.
func (u *puller) left(task v1beta1.ImageTagSpec) (time.Duration, bool) {
	if task.PullPolicy == nil || task.PullPolicy.ActiveDeadlineSeconds == nil || task.CreatedAt == nil {
		return 0, false
	}
	return task.CreatedAt.Add(time.Duration(*task.PullPolicy.ActiveDeadlineSeconds) * time.Second).Sub(u.clock.Now()), true
}

// errTimeout is why an attempt ends that takes too long.
var errTimeout = errors.New("timed out")

// attempt tries once. away says that it failed because the runtime was not there.
func (u *puller) attempt(ctx context.Context, p *pull, timeout time.Duration) (id string, away bool, err error) {
	attempt, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
	defer cancel()
	id, err = u.try(attempt, p)
	switch {
	case err == nil:
		return id, false, nil
	case errors.Is(context.Cause(attempt), errTimeout):
		return "", false, fmt.Errorf("pulling %s %w after %s: %w", p.ref, errTimeout, timeout, err)
	}
	return "", cri.Unreachable(err), err
}

// try looks for the image, and pulls it if it is not there or the registry is to be asked.
func (u *puller) try(ctx context.Context, p *pull) (string, error) {
	o := p.now()
	runtime, err := u.runtimes.First(ctx)
	if err != nil {
		return "", err
	}
	name := p.ref.Full()
	if o.task.ImagePullPolicy != v1beta1.PullAlways {
		image, found, err := runtime.Image(ctx, name)
		if err != nil || found {
			return p.ref.Name + "@" + image.ID, err
		}
	}
	request := cri.Pull{Image: name, Labels: o.sandbox.Labels, Annotations: maps.Clone(o.sandbox.Annotations)}
	if request.Annotations == nil {
		request.Annotations = map[string]string{}
	}
	request.Annotations[pulledBy] = "kruise-daemon"
	if err := u.pullWith(ctx, runtime, request, u.keys.credentials(ctx, name, o.secrets)); err != nil {
		return "", err
	}
	image, found, err := runtime.Image(ctx, name)
	if err != nil {
		return "", err
	}
	if !found {
		return "", fmt.Errorf("image %s was pulled and is not on the node: something removed it at once, such as kubelet for want of space", p.ref)
	}
	return p.ref.Name + "@" + image.ID, nil
}

// pullWith tries the credentials in turn, and nobody's at last: a credential that is not good must not keep a public image
// away. The error is that of the first attempt, since it says what is wrong with what the user gave.
func (u *puller) pullWith(ctx context.Context, runtime *cri.Runtime, request cri.Pull, all []cri.Credentials) error {
	var first error
	for _, credentials := range append(all, cri.Credentials{}) {
		request.Credentials = credentials
		_, err := runtime.Pull(ctx, request)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil || cri.Unreachable(err) {
			return err
		}
	}
	return first
}
