package images

import (
	"context"
	"fmt"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/plan/images"
)

// The kinds that the controllers write, as their caches are named for own writes.
const (
	kindNodeImage = "NodeImage"
	kindJob       = "ImagePullJob"
	kindList      = "ImageListPullJob"
)

var (
	// byJob finds the NodeImages with tasks of a job, by its UID.
	byJob = index.Index[*v1beta1.NodeImage]{Name: "job", Values: func(image *v1beta1.NodeImage) []string {
		var all []string
		for _, uid := range images.Jobs(image) {
			all = append(all, string(uid))
		}
		return all
	}}
	// bySecret finds the jobs with a pull secret.
	bySecret = index.Index[*v1beta1.ImagePullJob]{Name: "pull secret", Values: func(job *v1beta1.ImagePullJob) []string {
		var all []string
		for _, secret := range sources(job) {
			all = append(all, secret.String())
		}
		return all
	}}
	// byPods finds the jobs that go by the pods of a namespace.
	byPods = index.Index[*v1beta1.ImagePullJob]{Name: "pods of namespace", Values: func(job *v1beta1.ImagePullJob) []string {
		if job.Spec.PodSelector == nil || job.Status.CompletionTime != nil {
			return nil
		}
		return []string{job.Namespace}
	}}
)

// Controllers are those of the three kinds. Make them with New.
type Controllers struct {
	options  Options
	client   client.Client
	live     client.Reader
	recorder events.EventRecorder
	clock    clock.PassiveClock
	board    Board
	secrets  *secrets

	nodeStore  *index.Store[*corev1.Node]
	nodeImages *index.Store[*v1beta1.NodeImage]
	jobStore   *index.Store[*v1beta1.ImagePullJob]
	pods       *index.Store[*corev1.Pod]

	nodeWrites, jobWrites, listWrites *seen.Writes
	nodeWaker, jobWaker, waker        Waker
}

// New makes controllers over a manager's caches and client, and a clock.
func (o Options) New(ctx context.Context, mgr ctrl.Manager, now clock.PassiveClock) (*Controllers, error) {
	c := &Controllers{
		options: o, client: mgr.GetClient(), live: mgr.GetAPIReader(), recorder: mgr.GetEventRecorder("imagepulljob-controller"), clock: now,
	}
	informers := mgr.GetCache()
	lists, err := index.For(ctx, informers, &v1beta1.ImageListPullJob{})
	if err != nil {
		return nil, err
	}
	if c.nodeStore, err = index.For(ctx, informers, &corev1.Node{}); err != nil {
		return nil, err
	}
	if c.nodeImages, err = index.With(ctx, informers, &v1beta1.NodeImage{}, byJob); err != nil {
		return nil, err
	}
	if c.jobStore, err = index.With(ctx, informers, &v1beta1.ImagePullJob{}, bySecret, byPods); err != nil {
		return nil, err
	}
	if c.pods, err = index.For(ctx, informers, &corev1.Pod{}); err != nil {
		return nil, err
	}
	c.nodeWrites = seen.New(map[string]seen.Cache{kindNodeImage: c.nodeImages})
	c.jobWrites = seen.New(map[string]seen.Cache{kindJob: c.jobStore})
	c.listWrites = seen.New(map[string]seen.Cache{kindList: lists, kindJob: c.jobStore})
	c.secrets = &secrets{Controllers: c, known: map[types.NamespacedName]copyState{}, names: map[types.NamespacedName]string{}}
	return c, nil
}

// Nodes is the reconciler that makes NodeImages for nodes.
func (c *Controllers) Nodes() reconcile.Reconciler { return nodes{c} }

// NodeImages is the reconciler of NodeImages.
func (c *Controllers) NodeImages() reconcile.Reconciler {
	return loopOf(c, kindNodeImage, c.nodeWrites, func(image *v1beta1.NodeImage) loop.Work[*v1beta1.NodeImage] {
		return &nodeWork{Controllers: c, image: image}
	})
}

// Jobs is the reconciler of ImagePullJobs.
func (c *Controllers) Jobs() reconcile.Reconciler {
	return jobs{c, loopOf(c, kindJob, c.jobWrites, func(job *v1beta1.ImagePullJob) loop.Work[*v1beta1.ImagePullJob] {
		return &jobWork{Controllers: c, job: job}
	})}
}

// Lists is the reconciler of ImageListPullJobs.
func (c *Controllers) Lists() reconcile.Reconciler {
	return loopOf(c, kindList, c.listWrites, func(list *v1beta1.ImageListPullJob) loop.Work[*v1beta1.ImageListPullJob] {
		return &listWork{Controllers: c, list: list}
	})
}

// Secrets is the reconciler of pull secrets. The empty request has it look which copies there are.
func (c *Controllers) Secrets() reconcile.Reconciler { return c.secrets }

// Waker wakes the objects of a controller.
type Waker struct {
	queue atomic.Pointer[workqueue.TypedRateLimitingInterface[reconcile.Request]]
}

// Wake has objects reconciled soon, once the controller runs.
func (w *Waker) Wake(keys ...types.NamespacedName) {
	queue := w.queue.Load()
	if queue == nil {
		return // nothing was looked at before the controller runs, and then everything is
	}
	for _, key := range keys {
		(*queue).Add(reconcile.Request{NamespacedName: key})
	}
}

// source is the waker as a controller watches it; it begins with requests.
func (w *Waker) source(requests ...reconcile.Request) source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		w.queue.Store(&queue)
		for _, r := range requests {
			queue.Add(r)
		}
		return nil
	})
}

// object is a kind of which a new object can be made.
type object[T any] interface {
	*T
	client.Object
}

func loopOf[T any, O object[T]](c *Controllers, kind string, writes *seen.Writes, begin func(O) loop.Work[O]) reconcile.Reconciler {
	return &loop.Loop[O]{
		Kind: kind, Client: c.client, Recorder: c.recorder, Live: c.live, Writes: writes, Clock: c.clock,
		New: func() O { return new(T) }, Begin: begin,
	}
}

// wrap says which controller could not be set up.
func wrap(name string, err error) error {
	if err != nil {
		return fmt.Errorf("set up the controller of %s: %w", name, err)
	}
	return nil
}
