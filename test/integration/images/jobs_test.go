package images

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/images"
	"kruise.io/kruise/test/integration/apiserver"
)

// newNode makes a ready node with labels, and removes it after the test.
func newNode(t *testing.T, name string, labels map[string]string) *corev1.Node {
	t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	create(t, n)
	before := n.DeepCopy()
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
	if err := server.Client.Status().Patch(t.Context(), n, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Client.Delete(context.WithoutCancel(t.Context()), n); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
	return n
}

// nodesOf makes nodes that bear the test's own label, with their NodeImages.
func nodesOf(t *testing.T, test string, n int) []string {
	t.Helper()
	var names []string
	for i := range n {
		name := fmt.Sprintf("%s-%d", test, i)
		newNode(t, name, map[string]string{"test": test})
		apiserver.Eventually(t, name+" has a NodeImage", func() bool { return nodeImage(t, name) != nil })
		names = append(names, name)
	}
	return names
}

// nodeImage reads a NodeImage; nil if there is none.
func nodeImage(t *testing.T, name string) *v1beta1.NodeImage {
	t.Helper()
	image := &v1beta1.NodeImage{}
	err := server.Client.Get(t.Context(), client.ObjectKey{Name: name}, image)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// tasks lists what a node is told: "nginx:latest redis:7".
func tasks(t *testing.T, name string) string {
	t.Helper()
	var all []string
	for name, spec := range nodeImage(t, name).Spec.Images {
		for i := range spec.Tags {
			all = append(all, images.Ref{Name: name, Tag: spec.Tags[i].Tag}.String())
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// report has a node say of all its tasks that they came to a phase.
func report(t *testing.T, name string, phase v1beta1.ImagePullPhase, message string) {
	t.Helper()
	image := nodeImage(t, name)
	before := image.DeepCopy()
	now := metav1.Now()
	for name, spec := range image.Spec.Images {
		for _, task := range spec.Tags {
			images.SetStatus(&image.Status, name, v1beta1.ImageTagStatus{
				Tag: task.Tag, Version: task.Version, Phase: phase, StartTime: &now, CompletionTime: &now, Message: message,
			})
		}
	}
	images.Count(&image.Status, &image.Spec)
	if err := server.Client.Status().Patch(t.Context(), image, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

func newJob(namespace, test string, parallelism int32, change ...func(*v1beta1.ImagePullJob)) *v1beta1.ImagePullJob {
	j := &v1beta1.ImagePullJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "demo"}}
	j.Spec.Image, j.Spec.Parallelism = "nginx", &intstr.IntOrString{IntVal: parallelism}
	j.Spec.Selector = &v1beta1.ImagePullJobNodeSelector{LabelSelector: metav1.LabelSelector{MatchLabels: map[string]string{"test": test}}}
	for _, c := range change {
		c(j)
	}
	return j
}

// says is the status of a job in one line.
func says(t *testing.T, j *v1beta1.ImagePullJob) string {
	t.Helper()
	get(t, j)
	s := j.Status
	return fmt.Sprintf("%d/%d/%d/%d %s", s.Desired, s.Active, s.Succeeded, s.Failed, s.Message)
}

func awaitStatus(t *testing.T, j *v1beta1.ImagePullJob, want string) {
	t.Helper()
	var got string
	defer func() {
		if got != want {
			t.Logf("it says %q, awaited is %q", got, want)
		}
	}()
	apiserver.Eventually(t, want, func() bool { got = says(t, j); return got == want })
}

// awaitOwners waits until so many jobs own the task of a node.
func awaitOwners(t *testing.T, name string, n int) {
	t.Helper()
	apiserver.Eventually(t, fmt.Sprintf("%d jobs own the task of %s", n, name), func() bool {
		image := nodeImage(t, name).Spec.Images["nginx"]
		return len(image.Tags) == 1 && len(image.Tags[0].OwnerReferences) == n
	})
}

func TestANodeHasANodeImageAsLongAsItIsThere(t *testing.T) {
	t.Parallel()
	n := newNode(t, "lone", map[string]string{"zone": "a"})
	apiserver.Eventually(t, "a NodeImage with the labels of the node", func() bool {
		image := nodeImage(t, "lone")
		return image != nil && image.Labels["zone"] == "a"
	})
	before := n.DeepCopy()
	n.Labels = map[string]string{"rack": "7"}
	if err := server.Client.Patch(t.Context(), n, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the labels follow", func() bool {
		return cmp.Diff(map[string]string{"rack": "7"}, nodeImage(t, "lone").Labels) == ""
	})
	if err := server.Client.Delete(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "it goes with the node", func() bool { return nodeImage(t, "lone") == nil })
}

func TestAVirtualNodeHasNoNodeImageAndAFakeOneStays(t *testing.T) {
	t.Parallel()
	newNode(t, "virtual", map[string]string{"type": "virtual-kubelet"})
	stray := &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: "stray"}}
	fake := &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: "fake", Labels: map[string]string{v1beta1.FakeNodeImageKey: "true"}}}
	create(t, fake, stray)
	apiserver.Eventually(t, "a NodeImage without a node goes", func() bool { return nodeImage(t, "stray") == nil })
	nodesOf(t, "beside", 1) // by now the virtual node was looked at
	if nodeImage(t, "virtual") != nil || nodeImage(t, "fake") == nil {
		t.Error("a virtual node has a NodeImage, or the fake one is gone")
	}
	if err := server.Client.Delete(t.Context(), fake); err != nil {
		t.Fatal(err)
	}
}

func TestAJobWorksThroughItsNodes(t *testing.T) {
	t.Parallel()
	names := nodesOf(t, "through", 3)
	j := newJob(server.Namespace(t), "through", 2)
	create(t, j)
	awaitStatus(t, j, "3/2/0/0 job is running, progress 0%")
	apiserver.Eventually(t, "two nodes are told", func() bool { return tasks(t, names[0]) == "nginx:latest" && tasks(t, names[1]) == "nginx:latest" })
	if got := tasks(t, names[2]); got != "" {
		t.Errorf("the third is told %s", got)
	}
	task := nodeImage(t, names[0]).Spec.Images["nginx"].Tags[0]
	if len(task.OwnerReferences) != 1 || task.OwnerReferences[0].UID != j.UID || task.CreatedAt == nil || *task.PullPolicy.TimeoutSeconds != 600 {
		t.Errorf("the task is %+v", task)
	}
	report(t, names[0], v1beta1.ImagePhaseSucceeded, "")
	apiserver.Eventually(t, "the third is told", func() bool { return tasks(t, names[2]) == "nginx:latest" })
	report(t, names[1], v1beta1.ImagePhaseFailed, "no such image")
	report(t, names[2], v1beta1.ImagePhaseSucceeded, "")
	awaitStatus(t, j, "3/0/2/1 job has completed")
	if j.Status.CompletionTime == nil || !slices.Equal(j.Status.FailedNodes, []string{names[1]}) {
		t.Errorf("it ends as %+v", j.Status)
	}
	if err := server.Client.Delete(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		apiserver.Eventually(t, "nothing is left on "+name, func() bool { return tasks(t, name) == "" })
	}
}

func TestAJobIsChangedWhileItRuns(t *testing.T) {
	t.Parallel()
	names := nodesOf(t, "changed", 2)
	j := newJob(server.Namespace(t), "changed", 1)
	create(t, j)
	apiserver.Eventually(t, "a node is told", func() bool { return tasks(t, names[0]) != "" })
	get(t, j)
	before := j.DeepCopy()
	j.Spec.PullPolicy.TimeoutSeconds = new(int32(77))
	j.Spec.Parallelism = &intstr.IntOrString{IntVal: 5}
	if err := server.Client.Patch(t.Context(), j, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		apiserver.Eventually(t, "the new timeout on "+name, func() bool {
			image := nodeImage(t, name).Spec.Images["nginx"]
			return len(image.Tags) == 1 && *image.Tags[0].PullPolicy.TimeoutSeconds == 77
		})
	}
}

func TestTwoJobsForOneImageBothEnd(t *testing.T) {
	t.Parallel()
	names := nodesOf(t, "both", 2)
	a, b := newJob(server.Namespace(t), "both", 9), newJob(server.Namespace(t), "both", 9)
	b.Spec.Image = "docker.io/library/nginx:latest"
	create(t, a, b)
	for _, name := range names {
		awaitOwners(t, name, 2)
		report(t, name, v1beta1.ImagePhaseSucceeded, "")
	}
	awaitStatus(t, a, "2/0/2/0 job has completed")
	awaitStatus(t, b, "2/0/2/0 job has completed")
	c := newJob(a.Namespace, "both", 9, func(j *v1beta1.ImagePullJob) { j.Name = "later" })
	create(t, c)
	for _, name := range names {
		apiserver.Eventually(t, "another round on "+name, func() bool { return nodeImage(t, name).Spec.Images["nginx"].Tags[0].Version == 1 })
		report(t, name, v1beta1.ImagePhaseSucceeded, "")
	}
	awaitStatus(t, c, "2/0/2/0 job has completed")
}

func TestAJobFollowsPodsAndIsRemovedAfterItsTime(t *testing.T) {
	t.Parallel()
	names := nodesOf(t, "pods", 2)
	namespace := server.Namespace(t)
	j := newJob(namespace, "", 9, func(j *v1beta1.ImagePullJob) {
		j.Spec.Selector, j.Spec.PodSelector = nil, &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
		j.Spec.CompletionPolicy.TTLSecondsAfterFinished = new(int32(1))
	})
	create(t, j)
	awaitStatus(t, j, "0/0/0/0 job is running, progress 0%: no node is selected")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web", Labels: map[string]string{"app": "web"}}}
	pod.Spec.NodeName, pod.Spec.Containers = names[1], []corev1.Container{{Name: "main", Image: "nginx"}}
	create(t, pod)
	apiserver.Eventually(t, "the node of the pod is told", func() bool { return tasks(t, names[1]) == "nginx:latest" })
	if got := tasks(t, names[0]); got != "" {
		t.Errorf("the other is told %s", got)
	}
	report(t, names[1], v1beta1.ImagePhaseSucceeded, "")
	apiserver.Eventually(t, "the job goes", func() bool {
		return apierrors.IsNotFound(server.Client.Get(t.Context(), client.ObjectKeyFromObject(j), j))
	})
}

func TestANodeThatIsSilentIsGivenUp(t *testing.T) {
	t.Parallel()
	names := nodesOf(t, "silent", 1)
	j := newJob(server.Namespace(t), "silent", 1)
	create(t, j)
	apiserver.Eventually(t, "the node is told", func() bool { return tasks(t, names[0]) != "" })
	long := metav1.NewTime(metav1.Now().Add(-images.Silence))
	image := nodeImage(t, names[0])
	before := image.DeepCopy()
	image.Spec.Images["nginx"].Tags[0].CreatedAt = &long
	if err := server.Client.Patch(t.Context(), image, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, j, "1/0/0/1 job has completed")
	status := nodeImage(t, names[0]).Status
	if s := status.ImageStatuses["nginx"].Tags[0]; s.Phase != v1beta1.ImagePhaseFailed || s.Message != "node has not responded for a long time" || status.Failed != 1 {
		t.Errorf("the node's status is %+v", status)
	}
	apiserver.Eventually(t, "the job is told in an event", func() bool {
		list := &eventsv1.EventList{}
		if err := server.Client.List(t.Context(), list, client.InNamespace(j.Namespace)); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool {
			return e.Reason == "PullImageFailed" && e.Regarding.UID == j.UID && strings.Contains(e.Note, names[0]) && e.Type == corev1.EventTypeWarning
		})
	})
}

func TestAListHasItsImagesPulled(t *testing.T) {
	t.Parallel()
	names := nodesOf(t, "listed", 1)
	namespace := server.Namespace(t)
	l := &v1beta1.ImageListPullJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "base"}}
	l.Spec.Images = []string{"nginx", "redis:7"}
	l.Spec.Selector = &v1beta1.ImagePullJobNodeSelector{Names: names}
	create(t, l)
	apiserver.Eventually(t, "the node is told both", func() bool { return tasks(t, names[0]) == "nginx:latest redis:7" })
	get(t, l)
	before := l.DeepCopy()
	l.Spec.Images = []string{"redis:7", "etcd:3"}
	if err := server.Client.Patch(t.Context(), l, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the node is told what the list says now", func() bool { return tasks(t, names[0]) == "etcd:3 redis:7" })
	report(t, names[0], v1beta1.ImagePhaseFailed, "no such image")
	apiserver.Eventually(t, "the list ends", func() bool { get(t, l); return l.Status.CompletionTime != nil })
	s := l.Status
	if s.Desired != 2 || s.Completed != 2 || s.Succeeded != 0 || len(s.FailedImageStatuses) != 2 || s.FailedImageStatuses[0].Name != "redis:7" {
		t.Errorf("it ends as %+v", s)
	}
	jobs := &v1beta1.ImagePullJobList{}
	if err := server.Client.List(t.Context(), jobs, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	for i := range jobs.Items {
		if hash := jobs.Items[i].Labels["controller-revision-hash"]; hash == "" || hash != l.Labels["controller-revision-hash"] {
			t.Errorf("the job %s has the hash %q, the list %q", jobs.Items[i].Name, hash, l.Labels["controller-revision-hash"])
		}
	}
}
