package images

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/plan/fanout"
	"kruise.io/kruise/plan/images"
)

// jobWork is one reconcile of one ImagePullJob.
type jobWork struct {
	*Controllers
	job *v1beta1.ImagePullJob

	problem  string // why nothing can be done for the job
	hold     string // why no further node may begin
	missing  []string
	nodes    []fanout.Node
	selected map[string]bool
	looked   int
	plan     fanout.Plan
}

// jobs reconciles ImagePullJobs: what the loop does not, is to let go of those that are being deleted.
type jobs struct {
	*Controllers
	loop reconcile.Reconciler
}

// Reconcile implements reconcile.Reconciler.
func (j jobs) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	job, exists := j.jobStore.Get(req.NamespacedName)
	if !exists || job.DeletionTimestamp != nil {
		j.board.Is(req.NamespacedName, "")
	} else {
		j.board.Is(req.NamespacedName, job.UID)
	}
	if exists {
		if err := letGo(ctx, j.client, job); err != nil {
			return reconcile.Result{}, err
		}
	}
	return j.loop.Reconcile(ctx, req)
}

// Observe finds the nodes of the job, and what is known of them.
func (w *jobWork) Observe(context.Context) error {
	if w.job.Status.CompletionTime != nil {
		return nil
	}
	ref, err := images.Parse(w.job.Spec.Image)
	if err != nil {
		w.problem = err.Error()
		return nil
	}
	found, err := w.choose()
	if err != nil || w.problem != "" {
		return err
	}
	names := make([]string, len(found))
	w.selected = make(map[string]bool, len(found))
	for i, image := range found {
		names[i] = image.Name
		w.selected[image.Name] = true
	}
	never := w.job.Spec.CompletionPolicy.Type == v1beta1.NeverCompletion
	view := w.board.View(w.job.UID, ref, names)
	var open []string
	for _, image := range found {
		state, told := view[image.Name]
		if now := images.StateOf(image, ref, w.job.UID); !told || never && state.Final() {
			state = now
		}
		if !state.Final() {
			open = append(open, image.Name)
		}
		w.nodes = append(w.nodes, fanout.Node{Name: image.Name, State: state})
	}
	if never {
		w.board.Reopen(w.job.UID, open)
	}
	w.hold, w.missing = w.secrets.state(w.job)
	return nil
}

// choose finds the NodeImages that the job selects.
func (w *jobWork) choose() ([]*v1beta1.NodeImage, error) {
	spec := &w.job.Spec
	switch {
	case spec.PodSelector != nil:
		return w.chooseByPods()
	case spec.Selector != nil && len(spec.Selector.Names) > 0:
		return w.named(spec.Selector.Names), nil
	}
	all := w.nodeImages.All()
	w.looked = len(all)
	selector := labels.Everything()
	if spec.Selector != nil {
		var err error
		if selector, err = metav1.LabelSelectorAsSelector(&spec.Selector.LabelSelector); err != nil {
			w.problem = fmt.Sprintf("spec.selector cannot be read: %v", err)
			return nil, nil
		}
	}
	found := make([]*v1beta1.NodeImage, 0, len(all))
	for _, image := range all {
		if image.DeletionTimestamp == nil && selector.Matches(labels.Set(image.Labels)) {
			found = append(found, image)
		}
	}
	return found, nil
}

func (w *jobWork) chooseByPods() ([]*v1beta1.NodeImage, error) {
	selector, err := metav1.LabelSelectorAsSelector(w.job.Spec.PodSelector)
	if err != nil {
		w.problem = fmt.Sprintf("spec.podSelector cannot be read: %v", err)
		return nil, nil
	}
	pods, err := w.pods.InNamespace(w.job.Namespace)
	if err != nil {
		return nil, err
	}
	w.looked = len(pods)
	var names []string
	seen := map[string]bool{}
	for _, pod := range pods {
		if node := pod.Spec.NodeName; runs(pod) && !seen[node] && selector.Matches(labels.Set(pod.Labels)) {
			seen[node] = true
			names = append(names, node)
		}
	}
	return w.named(names), nil
}

// runs says whether a pod has a node and may need an image there.
func runs(pod *corev1.Pod) bool {
	return pod.Spec.NodeName != "" && pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// named finds NodeImages by name; names without one are left out.
func (w *jobWork) named(names []string) []*v1beta1.NodeImage {
	w.looked = max(w.looked, len(names))
	var found []*v1beta1.NodeImage
	for _, name := range names {
		if image, ok := w.nodeImages.Get(types.NamespacedName{Name: name}); ok && image.DeletionTimestamp == nil {
			found = append(found, image)
		}
	}
	return found
}

// Decide asks plan which nodes are to begin.
func (w *jobWork) Decide(now time.Time) error {
	if w.problem == "" {
		w.plan = fanout.Decide(w.job, w.nodes, w.hold, now)
	}
	return nil
}

// Act puts on the board who is to begin and who has left, and deletes a job whose time is over.
func (w *jobWork) Act(ctx context.Context) error {
	switch {
	case w.problem != "":
		return nil
	case w.plan.Expired:
		uid := w.job.UID
		err := w.client.Delete(ctx, w.job.DeepCopy(), client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete the job, which ended: %w", err)
		}
		w.jobWrites.Deleted(client.ObjectKeyFromObject(w.job), kindJob, w.job)
	}
	if w.plan.Status.CompletionTime != nil {
		w.board.Forget(w.job.UID)
		return nil
	}
	owning, err := w.nodeImages.By(byJob, string(w.job.UID))
	if err != nil {
		return err
	}
	names := make([]string, len(owning))
	for i, image := range owning {
		names[i] = image.Name
	}
	left := w.board.Leave(w.job.UID, func(node string) bool { return w.selected[node] }, names)
	w.board.Want(w.job.UID, client.ObjectKeyFromObject(w.job), w.plan.Begin)
	for _, node := range append(left, w.plan.Begin...) {
		w.nodeWaker.Wake(types.NamespacedName{Name: node})
	}
	return nil
}

// Report says how far the job is.
func (w *jobWork) Report(now time.Time, failure error) loop.Report[*v1beta1.ImagePullJob] {
	report := loop.Report[*v1beta1.ImagePullJob]{Wake: w.plan.Wake, Items: max(w.looked, len(w.nodes))}
	if failure != nil || w.plan.Expired {
		return report
	}
	after := w.job.DeepCopy()
	if w.problem != "" {
		after.Status.Message = w.problem
	} else {
		after.Status = w.plan.Status
	}
	report.Object = after
	if len(w.missing) > 0 {
		report.Events = []loop.Event{{
			Warning: true, Reason: "FailedGetPullSecret", Action: "PullImage", Once: "secrets " + strings.Join(w.missing, " "),
			Note: "pulling without " + strings.Join(w.missing, ", ") + ": in the namespace of the job there is no such secret of type kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg that kruise-manager may read",
		}}
	}
	return report
}
