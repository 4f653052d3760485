// Package images decides which images a node is told to pull, and for how long a NodeImage says so.
//
// It promises: several jobs may want one image on one node, and each of them ends; a job that comes while the image is being
// pulled waits for the same pull, and one that comes after it has the node look again, in a new round; what is said of a
// running job (its time limits, attempts, secrets, its image) is what its nodes are told; a task goes with the last job
// that wants it; a node that does not answer is given up; every task that somebody waits for ends. The same input gives the
// same plan, in whatever order it is listed, and a plan that was carried out leaves nothing to do.
package images

import (
	"cmp"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kruise.io/kruise/api/apps/v1beta1"
)

const (
	// mostImages is how many names of images a NodeImage can hold.
	mostImages = 256
	// together is how much earlier than need be a task is removed when another one is.
	together = time.Minute
)

// Node is what is known about one node.
type Node struct {
	// Image is the node's NodeImage.
	Image *v1beta1.NodeImage
	// Jobs finds a job that exists and selects the node.
	Jobs func(types.UID) (Job, bool)
	// Wants are the jobs that are to begin on the node.
	Wants []types.UID
}

// Outcome is how a node ended the round of a job.
type Outcome struct {
	Job   types.UID
	Ref   Ref
	State State
}

// Failure is a task that is given up.
type Failure struct {
	Ref     Ref
	Owners  []corev1.ObjectReference
	Message string
}

// Plan is what is to become of a NodeImage.
type Plan struct {
	// Images are the images whose tasks change, by name; nil removes one.
	Images map[string]*v1beta1.ImageSpec
	// Failures are the tasks that are given up, in order, and Status what the NodeImage then says; nil for no change.
	Failures []Failure
	Status   *v1beta1.NodeImageStatus
	// Outcomes are those of the rounds that ended, for jobs that have not.
	Outcomes []Outcome
	// Served are the wants that the NodeImage shows, or that are of no use any more.
	Served []types.UID
	// Wake is when to look again even if nothing happens; zero for never.
	Wake time.Time
}

// planner is a plan in the making.
type planner struct {
	Node
	now, horizon time.Time
	busy         bool
	sign         time.Time
	room         int // how many names more there may be
	plan         Plan
}

// Decide makes the plan for a node.
func Decide(n Node, now time.Time) Plan {
	p := &planner{Node: n, now: now, horizon: now, room: mostImages - len(n.Image.Spec.Images)}
	wants := map[string][]Job{}
	for _, uid := range n.Wants {
		want, exists := n.Jobs(uid)
		if !exists || want.Ended || StateOf(n.Image, want.Ref, uid) != Idle {
			p.plan.Served = append(p.plan.Served, uid)
			continue
		}
		wants[want.Ref.Name] = append(wants[want.Ref.Name], want)
	}
	names := slices.Collect(maps.Keys(n.Image.Spec.Images))
	for name := range wants {
		if _, known := n.Image.Spec.Images[name]; !known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	p.look(names)
	p.giveUp(names)
	for _, name := range names {
		p.image(name, wants[name])
	}
	slices.SortFunc(p.plan.Outcomes, func(a, b Outcome) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Ref.String(), b.Ref.String()))
	})
	slices.Sort(p.plan.Served)
	return p.plan
}

// look finds out whether the node works, and whether a task is to be removed, so that others can go with it.
func (p *planner) look(names []string) {
	for _, name := range names {
		tags := p.Image.Spec.Images[name].Tags
		for i := range tags {
			task, status := &tags[i], statusOf(p.Image, Ref{name, tags[i].Tag})
			if status == nil || task.CreatedAt == nil {
				continue
			}
			for _, t := range []*metav1.Time{status.StartTime, status.CompletionTime} {
				if t != nil {
					p.sign = later(p.sign, t.Time)
				}
			}
			state := stateOf(task, status)
			if state == Active && status.Phase == v1beta1.ImagePhasePulling && status.Version == task.Version && p.now.Before(pullEnds(task, status)) {
				p.busy = true
			}
			if state.Final() && p.mayExpire(task, Ref{name, task.Tag}) && !expiry(task, status).After(p.now) {
				p.horizon = p.now.Add(together)
			}
		}
	}
}

// image decides about the tasks of one image.
func (p *planner) image(name string, wants []Job) {
	before, known := p.Image.Spec.Images[name]
	var tags []v1beta1.ImageTagSpec
	for i := range before.Tags {
		if task := p.keep(before.Tags[i].DeepCopy(), Ref{name, before.Tags[i].Tag}); task != nil {
			tags = append(tags, *task)
		}
	}
	slices.SortFunc(wants, older)
	for _, want := range wants {
		if known || p.room > 0 {
			tags = p.serve(tags, want)
		}
	}
	if !known && len(tags) > 0 {
		p.room--
	}
	slices.SortFunc(tags, func(a, b v1beta1.ImageTagSpec) int { return cmp.Compare(a.Tag, b.Tag) })
	var after *v1beta1.ImageSpec
	if len(tags) > 0 {
		after = &v1beta1.ImageSpec{Tags: tags}
		after.PullSecrets, after.SandboxConfig = p.access(before, tags)
	}
	if !known && after == nil || known && after != nil && equality.Semantic.DeepEqual(before, *after) {
		return
	}
	if p.plan.Images == nil {
		p.plan.Images = map[string]*v1beta1.ImageSpec{}
	}
	p.plan.Images[name] = after
}

// keep is a task as it is to be from now on; nil when it is to go.
func (p *planner) keep(task *v1beta1.ImageTagSpec, ref Ref) *v1beta1.ImageTagSpec {
	owned := len(task.OwnerReferences) > 0
	task.OwnerReferences = slices.DeleteFunc(task.OwnerReferences, func(o corev1.ObjectReference) bool {
		job, exists := p.Jobs(o.UID)
		return !exists || job.Ref != ref
	})
	if task.CreatedAt == nil {
		task.CreatedAt = &metav1.Time{Time: p.now.Truncate(time.Second)}
	}
	running := p.running(task)
	status := statusOf(p.Image, ref)
	state := stateOf(task, status)
	switch {
	case owned && len(task.OwnerReferences) == 0:
		return nil
	case owned && len(running) == 0 && !state.Final():
		return nil
	case state.Final() && p.mayExpire(task, ref):
		at := expiry(task, status)
		if !at.After(p.horizon) {
			return nil
		}
		p.wake(at)
	}
	if state.Final() {
		for _, job := range running {
			p.plan.Outcomes = append(p.plan.Outcomes, Outcome{job.UID, ref, state})
		}
	} else if len(running) > 0 {
		task.PullPolicy, task.ImagePullPolicy = policyOf(running, p.Image.Name), pullPolicyOf(running)
	}
	return task
}

// mayExpire says whether nobody needs to see a task any more: no job that ends waits for others.
func (p *planner) mayExpire(task *v1beta1.ImageTagSpec, ref Ref) bool {
	return !slices.ContainsFunc(p.running(task), func(j Job) bool { return !j.Never && j.Ref == ref })
}

// running are the owners of a task that have not ended.
func (p *planner) running(task *v1beta1.ImageTagSpec) []Job {
	var jobs []Job
	for i := range task.OwnerReferences {
		if job, exists := p.Jobs(task.OwnerReferences[i].UID); exists && !job.Ended {
			jobs = append(jobs, job)
		}
	}
	return jobs
}

// serve begins a job among the tasks of its image, unless it has to wait.
func (p *planner) serve(tags []v1beta1.ImageTagSpec, want Job) []v1beta1.ImageTagSpec {
	status := statusOf(p.Image, want.Ref)
	task := taskOf(tags, want.Ref.Tag)
	switch {
	case task == nil:
		task = &v1beta1.ImageTagSpec{Tag: want.Ref.Tag, CreatedAt: &metav1.Time{Time: p.now.Truncate(time.Second)}}
		if status != nil {
			task.Version = status.Version + 1
		}
		tags = append(tags, *task)
		task = &tags[len(tags)-1]
	case stateOf(task, status).Final():
		task.Version++
		task.CreatedAt = &metav1.Time{Time: p.now.Truncate(time.Second)}
		task.OwnerReferences = slices.DeleteFunc(task.OwnerReferences, func(o corev1.ObjectReference) bool {
			job, exists := p.Jobs(o.UID)
			return exists && job.Ended
		})
	case want.Ask && task.CreatedAt.Time.Before(want.Created):
		return tags // a pull that began before the job may bring what the registry had then: the next round is the job's
	}
	task.OwnerReferences = append(task.OwnerReferences, want.reference())
	slices.SortFunc(task.OwnerReferences, func(a, b corev1.ObjectReference) int { return cmp.Compare(a.UID, b.UID) })
	jobs := p.running(task)
	task.PullPolicy, task.ImagePullPolicy = policyOf(jobs, p.Image.Name), pullPolicyOf(jobs)
	return tags
}

// access is with which secrets an image is pulled, and what the runtime is told. All jobs of the image lend their secrets;
// the newest one says what the runtime is told. What a task without a job needs is left as it is.
func (p *planner) access(before v1beta1.ImageSpec, tags []v1beta1.ImageTagSpec) ([]v1beta1.ReferenceObject, *v1beta1.SandboxConfig) {
	var secrets []v1beta1.ReferenceObject
	sandbox := before.SandboxConfig
	var jobs []Job
	for i := range tags {
		if len(tags[i].OwnerReferences) == 0 {
			secrets = slices.Clone(before.PullSecrets)
		}
		for _, owner := range tags[i].OwnerReferences {
			if job, exists := p.Jobs(owner.UID); exists {
				jobs = append(jobs, job)
			}
		}
	}
	slices.SortFunc(jobs, older)
	for _, job := range jobs {
		sandbox = job.Sandbox
		secrets = append(secrets, job.Secrets...)
	}
	slices.SortFunc(secrets, func(a, b v1beta1.ReferenceObject) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Mode, b.Mode))
	})
	return slices.Compact(secrets), sandbox
}

// older orders jobs by their age.
func older(a, b Job) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.UID, b.UID)) }

// wake makes sure that the node is looked at again by then.
func (p *planner) wake(at time.Time) {
	if p.plan.Wake.IsZero() || at.Before(p.plan.Wake) {
		p.plan.Wake = at
	}
}
