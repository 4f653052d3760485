package agent

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	_ "k8s.io/component-base/metrics/prometheus/workqueue" // the metrics of queues
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Options say how a controller works.
type Options struct {
	// Name names it in logs and in the metrics of its queue.
	Name string
	// Workers is how many keys are worked on at a time.
	Workers int
	// First and Last are the pauses after failures: each is twice as long as the one before.
	First, Last time.Duration
	// Take works on the object with a key. It returns after how long to do it again even if nothing happens; 0 for never.
	Take func(ctx context.Context, key types.NamespacedName) (time.Duration, error)
}

// Controller works on the objects whose keys it is woken for.
type Controller struct {
	Options
	queue workqueue.TypedRateLimitingInterface[types.NamespacedName]
}

// NewController makes a controller.
func NewController(o Options) *Controller {
	return &Controller{Options: o, queue: workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](o.First, o.Last),
		workqueue.TypedRateLimitingQueueConfig[types.NamespacedName]{Name: o.Name},
	)}
}

// Wake has the object with a key worked on.
func (c *Controller) Wake(key types.NamespacedName) { c.queue.Add(key) }

// Run works until the context ends, and until what was begun has ended.
func (c *Controller) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range c.Workers {
		workers.Go(func() {
			for c.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	c.queue.ShutDown()
	workers.Wait()
	return nil
}

// next works on the next key, and says whether there may be more.
func (c *Controller) next(ctx context.Context) bool {
	key, ended := c.queue.Get()
	if ended {
		return false
	}
	defer c.queue.Done(key)
	if ctx.Err() != nil { // what waits in the queue is not begun any more
		return true
	}
	logger := log.FromContext(ctx).WithValues("controller", c.Name, "namespace", key.Namespace, "name", key.Name)
	after, err := c.take(log.IntoContext(ctx, logger), key)
	if err != nil {
		logger.Error(err, "The work failed and is tried again")
		c.queue.AddRateLimited(key)
		return true
	}
	c.queue.Forget(key)
	if after > 0 {
		c.queue.AddAfter(key, after)
	}
	return true
}

// take is Take, whose panics are errors: the work on one object does not end that on all others.
func (c *Controller) take(ctx context.Context, key types.NamespacedName) (after time.Duration, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	return c.Take(ctx, key)
}
