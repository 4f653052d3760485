package images

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/plan/images"
)

// reasonFailed is the reason of the event about a task that is given up.
const reasonFailed = "PullImageFailed"

// writePace is how many items a reconcile that wrote is counted as, so that the next one of this NodeImage comes a second
// later and writes what all jobs want until then.
const writePace = 10_000

// nodeWork is one reconcile of one NodeImage.
type nodeWork struct {
	*Controllers
	image *v1beta1.NodeImage
	keys  map[types.UID]types.NamespacedName // of jobs that the NodeImage or the board names
	jobs  map[types.UID]*images.Job          // those that were asked for; nil for one that does not count
	wants []types.UID
	plan  images.Plan
	wrote bool
}

// Observe gathers the names of the jobs.
func (w *nodeWork) Observe(context.Context) error {
	w.jobs = map[types.UID]*images.Job{}
	w.keys = w.board.Wanted(w.image.Name)
	for uid := range w.keys {
		w.wants = append(w.wants, uid)
	}
	slices.Sort(w.wants)
	for _, spec := range w.image.Spec.Images {
		for i := range spec.Tags {
			for _, owner := range spec.Tags[i].OwnerReferences {
				w.keys[owner.UID] = types.NamespacedName{Namespace: owner.Namespace, Name: owner.Name}
			}
		}
	}
	return nil
}

// job finds a job that exists and selects the node.
func (w *nodeWork) job(uid types.UID) (images.Job, bool) {
	known, looked := w.jobs[uid]
	if !looked {
		known = w.lookUp(uid)
		w.jobs[uid] = known
	}
	if known == nil {
		return images.Job{}, false
	}
	return *known, true
}

func (w *nodeWork) lookUp(uid types.UID) *images.Job {
	found, exists := w.jobStore.Get(w.keys[uid])
	if !exists || found.UID != uid || w.board.Left(w.image.Name, uid) {
		return nil
	}
	job, err := images.JobOf(found, w.options.Keep, w.secrets.references(found))
	if err != nil {
		return nil // its image cannot be read, which the job itself says
	}
	return &job
}

// Decide asks plan what the node is to be told.
func (w *nodeWork) Decide(now time.Time) error {
	w.plan = images.Decide(images.Node{Image: w.image, Jobs: w.job, Wants: w.wants}, now)
	return nil
}

// Act tells jobs what came of them, and then the node what is new.
func (w *nodeWork) Act(ctx context.Context) error {
	for _, uid := range w.board.Note(w.image.Name, w.plan.Outcomes) {
		w.jobWaker.Wake(w.keys[uid])
	}
	w.board.Served(w.image.Name, w.plan.Served)
	if err := w.giveUp(ctx); err != nil {
		return err
	}
	if len(w.plan.Images) == 0 {
		return nil
	}
	body, err := w.changes()
	if err != nil {
		return err
	}
	err = w.patch("tell node "+w.image.Name+" what to pull", body, func(image *v1beta1.NodeImage, p client.Patch) error {
		return w.client.Patch(ctx, image, p)
	})
	if err == nil {
		w.wakeThoseThatLeft()
	}
	return err
}

// changes is a merge patch that names the images which change, and in them what does.
func (w *nodeWork) changes() (map[string]any, error) {
	before, after := &v1beta1.NodeImage{}, &v1beta1.NodeImage{}
	before.Spec.Images, after.Spec.Images = map[string]v1beta1.ImageSpec{}, map[string]v1beta1.ImageSpec{}
	for name, changed := range w.plan.Images {
		if had, ok := w.image.Spec.Images[name]; ok {
			before.Spec.Images[name] = had
		}
		if changed != nil {
			after.Spec.Images[name] = *changed
		}
	}
	text, err := client.MergeFrom(before).Data(after)
	if err != nil {
		return nil, fmt.Errorf("compare the tasks of node %s: %w", w.image.Name, err)
	}
	body := map[string]any{}
	if err := json.Unmarshal(text, &body); err != nil {
		return nil, fmt.Errorf("compare the tasks of node %s: %w", w.image.Name, err)
	}
	if spec, ok := body["spec"].(map[string]any); ok && spec["images"] == nil { // all that are named go
		gone := map[string]any{}
		for name := range w.plan.Images {
			gone[name] = nil
		}
		spec["images"] = gone
	}
	body["metadata"] = map[string]any{"uid": w.image.UID}
	return body, nil
}

// wakeThoseThatLeft wakes the jobs of tasks that are gone: one that goes on may begin there again.
func (w *nodeWork) wakeThoseThatLeft() {
	after := map[types.UID]bool{}
	before := images.Jobs(w.image)
	for name, spec := range w.image.Spec.Images {
		if changed, ok := w.plan.Images[name]; ok {
			if changed == nil {
				continue
			}
			spec = *changed
		}
		for i := range spec.Tags {
			for _, owner := range spec.Tags[i].OwnerReferences {
				after[owner.UID] = true
			}
		}
	}
	for _, uid := range before {
		if !after[uid] {
			w.jobWaker.Wake(w.keys[uid])
		}
	}
}

// patch sends a merge patch and remembers that it was sent.
func (w *nodeWork) patch(what string, body map[string]any, send func(*v1beta1.NodeImage, client.Patch) error) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	// The answer is all of it, and needed for its version alone.
	image := &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: w.image.Name, UID: w.image.UID}}
	if err := send(image, client.RawPatch(types.MergePatchType, text)); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	w.wrote = true
	w.nodeWrites.Wrote(types.NamespacedName{Name: image.Name}, kindNodeImage, image)
	return nil
}

// giveUp says of tasks that they failed. The node may report at the same time, so the patch is made against what was read.
func (w *nodeWork) giveUp(ctx context.Context) error {
	if w.plan.Status == nil {
		return nil
	}
	s := w.plan.Status
	changed := map[string]v1beta1.ImageStatus{}
	for _, f := range w.plan.Failures {
		changed[f.Ref.Name] = s.ImageStatuses[f.Ref.Name]
	}
	body := map[string]any{
		"metadata": map[string]any{"uid": w.image.UID, "resourceVersion": w.image.ResourceVersion},
		"status": map[string]any{
			"desired": s.Desired, "succeeded": s.Succeeded, "failed": s.Failed, "pulling": s.Pulling, "waiting": s.Waiting,
			"imageStatuses": changed,
		},
	}
	err := w.patch("give up tasks of node "+w.image.Name, body, func(image *v1beta1.NodeImage, p client.Patch) error {
		return w.client.Status().Patch(ctx, image, p)
	})
	if err != nil {
		return err
	}
	for _, f := range w.plan.Failures {
		for _, owner := range f.Owners {
			if job, exists := w.jobStore.Get(types.NamespacedName{Namespace: owner.Namespace, Name: owner.Name}); exists && job.UID == owner.UID {
				w.recorder.Eventf(job, w.image, corev1.EventTypeWarning, reasonFailed, "PullImage", "node %s, %s: %s", w.image.Name, f.Ref, f.Message)
			}
		}
	}
	return nil
}

// Report tells of tasks that were given up, and when to look again.
func (w *nodeWork) Report(_ time.Time, failure error) loop.Report[*v1beta1.NodeImage] {
	report := loop.Report[*v1beta1.NodeImage]{Wake: w.plan.Wake, Items: len(w.keys)}
	if w.wrote {
		report.Items, report.Advanced = writePace, true
	}
	if failure != nil {
		return report
	}
	for _, f := range w.plan.Failures {
		report.Events = append(report.Events, loop.Event{Warning: true, Reason: reasonFailed, Action: "PullImage", Note: fmt.Sprintf("%s: %s", f.Ref, f.Message)})
	}
	return report
}
