package images

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/kit/agent"
	"kruise.io/kruise/kit/turn"
	"kruise.io/kruise/plan/images"
)

// Reasons of events.
const (
	reasonSucceeded = "PullImageSucceed"
	reasonFailed    = "PullImageFailed"
)

// longestMessage bounds the message of a failure, in bytes.
const longestMessage = 1000

// Options say where the package works.
type Options struct {
	// Node is the name of the node.
	Node string
	// Runtimes are the container runtimes of the node. The first one pulls.
	Runtimes *cri.Node
	// Plugins are asked for credentials besides the secrets of a task; nil for none.
	Plugins *Plugins
	// Workers is how many pulls run at a time. 0 and less: no limit.
	Workers int
	// Pause is the pause after the first attempt that fails; it doubles with each. Default: a second.
	Pause time.Duration
	// Pace is the shortest time between two writes of the status. Default: two seconds.
	Pace time.Duration
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodeimages,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodeimages/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Watched says which NodeImages the process needs to know: that of this node.
func (o Options) Watched() agent.Selection[*v1beta1.NodeImage] {
	return agent.Selection[*v1beta1.NodeImage]{Field: fields.OneTermEqualSelector(metav1.ObjectNameField, o.Node)}
}

// Setup adds the controller to a runner, over the NodeImage of the node.
func Setup(r *agent.Runner, nodes *agent.Informer[*v1beta1.NodeImage], recorder turn.Recorder, o Options) error {
	c := newController(o, nodes, r.API, recorder, clock.RealClock{})
	controller := agent.NewController(agent.Options{
		Name: "nodeimage", Workers: 1, First: turn.FirstRetry, Last: turn.LastRetry, Take: c.Take,
	})
	c.puller.changed = func() { controller.Wake(types.NamespacedName{Name: o.Node}) }
	err := nodes.Handle(func(_, _ *v1beta1.NodeImage) { c.puller.changed() })
	if err != nil {
		return fmt.Errorf("set up the controller of NodeImages: %w", err)
	}
	r.Add(c.Start)
	r.Add(controller.Run)
	return nil
}

// Controller works on the NodeImage of its node.
type Controller struct {
	node     string
	nodes    agent.Cache[*v1beta1.NodeImage]
	api      agent.API
	recorder turn.Recorder
	clock    clock.Clock
	puller   *puller

	pace time.Duration

	mu    sync.Mutex
	life  context.Context // of all pulls
	pulls map[images.Ref]*pull
	next  time.Time // when the status may be written again
}

func newController(o Options, nodes agent.Cache[*v1beta1.NodeImage], api agent.API, recorder turn.Recorder, now clock.Clock) *Controller {
	c := &Controller{
		node: o.Node, nodes: nodes, api: api, recorder: recorder, clock: now, pace: cmp.Or(o.Pace, 2*time.Second), pulls: map[images.Ref]*pull{},
	}
	c.puller = &puller{runtimes: o.Runtimes, keys: newKeyring(api, o.Plugins, now), clock: now, pause: cmp.Or(o.Pause, time.Second)}
	if o.Workers > 0 {
		c.puller.slots = make(chan struct{}, o.Workers)
	}
	return c
}

// Start lets pulls begin, until the context ends; they end with it.
func (c *Controller) Start(ctx context.Context) error {
	c.mu.Lock()
	c.life = ctx
	c.mu.Unlock()
	c.puller.changed()
	<-ctx.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pulls {
		<-p.done
	}
	return nil
}

// Take looks at the NodeImage.
func (c *Controller) Take(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == nil || c.life.Err() != nil || key.Name != c.node {
		return 0, nil
	}
	image, ok := c.nodes.Get(key)
	if !ok || image.DeletionTimestamp != nil {
		image = &v1beta1.NodeImage{}
	}
	c.begin(image)
	if image.Name == "" {
		return 0, nil
	}
	return c.report(ctx, image)
}

// begin has a pull for each task that is not through, and none for others.
func (c *Controller) begin(image *v1beta1.NodeImage) {
	wanted := map[images.Ref]bool{}
	for _, ref := range refs(&image.Spec) {
		o := orderOf(image, ref)
		had := said(image, ref)
		final := had != nil && had.Version == o.task.Version && (had.Phase == v1beta1.ImagePhaseSucceeded || had.Phase == v1beta1.ImagePhaseFailed)
		if final || o.task.CreatedAt == nil { // the manager dates it in a moment
			continue
		}
		wanted[ref] = true
		p := c.pulls[ref]
		if p != nil && p.sameRound(&o.task) {
			p.update(o)
			continue
		}
		if p != nil {
			p.cancel()
		}
		var started *metav1.Time
		if had != nil && had.Version == o.task.Version {
			started = had.StartTime
		}
		c.pulls[ref] = c.puller.begin(c.life, ref, o, started)
	}
	for ref, p := range c.pulls {
		if !wanted[ref] {
			p.cancel()
			delete(c.pulls, ref)
		}
	}
}

// report writes the status if it changed and may be written, and tells of what ended.
func (c *Controller) report(ctx context.Context, image *v1beta1.NodeImage) (time.Duration, error) {
	after := image.DeepCopy()
	after.Status.ImageStatuses = nil
	var ended []images.Ref
	for _, ref := range refs(&image.Spec) {
		task, had := orderOf(image, ref).task, said(image, ref)
		status := v1beta1.ImageTagStatus{Tag: ref.Tag, Version: task.Version, Phase: v1beta1.ImagePhaseWaiting}
		if had != nil && had.Version == task.Version {
			status = *had
		}
		if p := c.pulls[ref]; p != nil {
			status = p.Status()
			status.Message = bounded(status.Message, longestMessage)
			if status.CompletionTime != nil {
				ended = append(ended, ref)
			}
		}
		images.SetStatus(&after.Status, ref.Name, status)
	}
	images.Count(&after.Status, &image.Spec)
	if equality.Semantic.DeepEqual(image.Status, after.Status) {
		return 0, nil
	}
	now := c.clock.Now()
	if wait := c.next.Sub(now); wait > 0 {
		return wait, nil
	}
	body, err := changes(image, after)
	if err != nil {
		return 0, err
	}
	if err := c.api.PatchStatus(ctx, after, types.MergePatchType, body); err != nil {
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) { // somebody wrote, and the event of that comes
			return c.pace, nil
		}
		return 0, fmt.Errorf("report on images: %w", err)
	}
	c.next = now.Add(c.pace)
	for _, ref := range ended {
		c.tell(image, ref)
	}
	return 0, nil
}

// changes is a patch of the status that names what changed, against what was read: the manager may give up a task meanwhile.
func changes(before, after *v1beta1.NodeImage) ([]byte, error) {
	text, err := turn.Changes(before, after)
	if err != nil {
		return nil, err
	}
	body := map[string]any{}
	if err := json.Unmarshal(text, &body); err != nil {
		return nil, fmt.Errorf("compare the status: %w", err)
	}
	body["metadata"] = map[string]any{"uid": before.UID, "resourceVersion": before.ResourceVersion}
	return json.Marshal(body)
}

// tell sends the events about a task that ended, once: its status is written.
func (c *Controller) tell(image *v1beta1.NodeImage, ref images.Ref) {
	status := c.pulls[ref].Status()
	if status.Phase == v1beta1.ImagePhaseSucceeded {
		c.recorder.Eventf(image, nil, corev1.EventTypeNormal, reasonSucceeded, "PullImage", "%s is on the node", ref)
		return
	}
	message := bounded(status.Message, longestMessage-200)
	c.recorder.Eventf(image, nil, corev1.EventTypeWarning, reasonFailed, "PullImage", "%s: %s", ref, message)
	for _, owner := range orderOf(image, ref).task.OwnerReferences {
		job := &v1beta1.ImagePullJob{
			TypeMeta:   metav1.TypeMeta{APIVersion: owner.APIVersion, Kind: owner.Kind},
			ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: owner.Name, UID: owner.UID},
		}
		c.recorder.Eventf(job, image, corev1.EventTypeWarning, reasonFailed, "PullImage", "node %s, %s: %s", c.node, ref, message)
	}
}

// bounded is a text of at most so many bytes, cut between characters: what is stored must be what was sent.
func bounded(text string, most int) string {
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

// refs are the tasks of a node, the oldest first.
func refs(spec *v1beta1.NodeImageSpec) []images.Ref {
	type aged struct {
		images.Ref
		created metav1.Time
	}
	var all []aged
	for name, image := range spec.Images {
		for i := range image.Tags {
			a := aged{Ref: images.Ref{Name: name, Tag: image.Tags[i].Tag}}
			if created := image.Tags[i].CreatedAt; created != nil {
				a.created = *created
			}
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b aged) int {
		return cmp.Or(a.created.Compare(b.created.Time), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Tag, b.Tag))
	})
	out := make([]images.Ref, len(all))
	for i := range all {
		out[i] = all[i].Ref
	}
	return out
}

// orderOf is what a NodeImage says of a task that it has.
func orderOf(image *v1beta1.NodeImage, ref images.Ref) order {
	spec := image.Spec.Images[ref.Name]
	i := slices.IndexFunc(spec.Tags, func(t v1beta1.ImageTagSpec) bool { return t.Tag == ref.Tag })
	o := order{task: spec.Tags[i], secrets: spec.PullSecrets}
	if spec.SandboxConfig != nil {
		o.sandbox = *spec.SandboxConfig
	}
	return o
}

// said is what a NodeImage says of a tag, of whichever round; nil for nothing.
func said(image *v1beta1.NodeImage, ref images.Ref) *v1beta1.ImageTagStatus {
	tags := image.Status.ImageStatuses[ref.Name].Tags
	if i := slices.IndexFunc(tags, func(s v1beta1.ImageTagStatus) bool { return s.Tag == ref.Tag }); i >= 0 {
		return &tags[i]
	}
	return nil
}
