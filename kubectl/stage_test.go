package kubectl_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kubectl"
	"kruise.io/kruise/kubectl/kinds"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
	"kruise.io/kruise/test/builder"
)

// stage is a workload, demo, in a modelled cluster, behind an API that can be read and not written.
type stage struct {
	*testing.T
	w         *world.World
	workload  kinds.Workload
	set       *v1beta1.CloneSet // the workload, if it is one
	revisions []*appsv1.ControllerRevision
	ids       int
	requests  int
	forbidden string // a path that may not be read
	// budgets protect the pods, whatever gates are on.
	budgets []*policyv1beta1.PodUnavailableBudget
}

// newStage brings the pods of a CloneSet up.
func newStage(t *testing.T, b *builder.CloneSetBuilder) *stage {
	t.Helper()
	return stageOf(t, b.Namespace("default").Object())
}

// stageOf brings the pods of a workload up.
func stageOf(t *testing.T, object client.Object) *stage {
	t.Helper()
	s, comeUp := &stage{T: t, w: world.New()}, 10*time.Second
	object.SetUID("the-set")
	object.SetGeneration(1)
	switch o := object.(type) {
	case *v1beta1.CloneSet:
		s.workload = kinds.Called("cloneset").New()
		s.set = s.workload.Object().(*v1beta1.CloneSet)
		*s.set = *o
	case *v1beta1.StatefulSet:
		s.workload = kinds.Called("asts").New()
		*s.workload.Object().(*v1beta1.StatefulSet) = *o
		comeUp = time.Minute // one pod after the other
	case *v1beta1.SidecarSet:
		s.workload = kinds.Called("sidecarset").New()
		*s.workload.Object().(*v1beta1.SidecarSet) = *o
		s.reconcile() // so that there is a revision to inject
		s.addPods(3)
	case *v1beta1.DaemonSet:
		s.workload = kinds.Called("ads").New()
		*s.workload.Object().(*v1beta1.DaemonSet) = *o
	}
	s.run(comeUp)
	return s
}

// change changes the spec.
func (s *stage) change(change func(*v1beta1.CloneSetSpec)) {
	change(&s.set.Spec)
	s.set.Generation++
}

// apply changes the spec as the plugin would.
func (s *stage) apply(change kinds.Change) {
	s.Helper()
	if err := s.workload.Change(change); err != nil {
		s.Fatal(err)
	}
	s.workload.Object().SetGeneration(s.workload.Object().GetGeneration() + 1)
}

// image changes the image of the container main.
func (s *stage) image(image string) {
	s.change(func(spec *v1beta1.CloneSetSpec) { spec.Template.Spec.Containers[0].Image = image })
}

// edit changes a pod behind the back of everybody.
func (s *stage) edit(name string, change func(*corev1.Pod)) {
	s.Helper()
	i := slices.IndexFunc(s.w.Pods, func(p *corev1.Pod) bool { return p.Name == name })
	if i < 0 {
		s.Fatalf("there is no pod %s", name)
	}
	s.w.Pods[i] = s.w.Pods[i].DeepCopy()
	change(s.w.Pods[i])
}

// evict has kubelet end a pod, which stays, and lets its successor come.
func (s *stage) evict(name string) {
	s.Helper()
	if err := s.w.Evict(name); err != nil {
		s.Fatal(err)
	}
	s.run(10 * time.Second)
}

// run lets controller and cluster act for a time.
func (s *stage) run(d time.Duration) {
	s.Helper()
	for end := s.w.Now.Add(d); s.w.Now.Before(end); s.w.Tick(time.Second) {
		s.reconcile()
	}
	s.reconcile()
}

// reconcile lets the controller act once, and report.
func (s *stage) reconcile() {
	s.Helper()
	newID := func() string { s.ids++; return name(s.ids) }
	view := s.view(newID)
	if view.Newest == nil {
		r := view.NewRevision()
		r.Name = fmt.Sprintf("demo-v%d", len(s.revisions)+1)
		r.Labels["controller.kubernetes.io/hash"] = fmt.Sprintf("v%d", len(s.revisions)+1)
		s.revisions = append(s.revisions, r)
		view = s.view(newID)
	}
	if err := view.Act(s.w, s.plan(view)); err != nil {
		s.Fatal(err)
	}
	s.report()
}

// report lets the controller write the status.
func (s *stage) report() {
	s.Helper()
	view := s.view(func() string { return "unused" })
	view.Report(s.plan(view).Tally)
}

func (s *stage) plan(view *kinds.View) podset.Plan {
	s.Helper()
	plan, err := view.Plan(s.w.Now)
	if err != nil {
		s.Fatal(err)
	}
	budgets := kinds.Protection{Budgets: s.budgets, Gates: disruption.Options{Deletions: true, Changes: true}}
	if _, err := budgets.Hold(s.workload, view, &plan, s.w.Now); err != nil {
		s.Fatal(err)
	}
	return plan
}

func (s *stage) view(newID func() string) *kinds.View {
	s.Helper()
	var owned kinds.Owned
	owned.Sort(s.workload.Object(), s.w.Pods, s.w.Claims)
	owned.Revisions, owned.Nodes = s.revisions, s.w.Nodes
	view, err := s.workload.View(owned, workload.Options{}, newID)
	if err != nil {
		s.Fatal(err)
	}
	return view
}

// kubectl runs the plugin and returns what a person sees.
func (s *stage) kubectl(args ...string) string {
	s.Helper()
	server := httptest.NewServer(s)
	defer server.Close()
	config := filepath.Join(s.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"clusters": [{"name": "c", "cluster": {"server": %q}}], "contexts": [{"name": "c", "context": {"cluster": "c"}}], "current-context": "c"}`, server.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	s.Setenv("KUBECONFIG", config)
	var out bytes.Buffer
	cmd := kubectl.Command(genericiooptions.IOStreams{Out: &out, ErrOut: &out}, func() time.Time { return s.w.Now })
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(s.Context()); err != nil {
		fmt.Fprintln(&out, kubectl.ErrorText(err))
	}
	return fmt.Sprintf("$ kubectl kruise %s\n%s", strings.Join(args, " "), &out)
}

// ServeHTTP answers as an API server that nobody may write to.
func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests++
	if r.Method != http.MethodGet {
		s.Errorf("%s %s: the plugin writes", r.Method, r.URL)
	}
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		s.Errorf("%s: %v", r.URL, err)
	}
	var answer any
	plural := strings.ToLower(s.workload.Kind().Name) + "s"
	path := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/apis/apps.kruise.io/v1beta1/"), "namespaces/default/")
	switch path {
	case s.forbidden:
		status := apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", errors.New("no")).Status()
		status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		answer = &status
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
	case plural + "/demo":
		answer = s.workload.Object()
	case plural:
		answer = map[string]any{"items": []any{s.workload.Object()}}
	case "/apis/policy.kruise.io/v1beta1/podunavailablebudgets", "/apis/policy.kruise.io/v1beta1/namespaces/default/podunavailablebudgets":
		answer = &policyv1beta1.PodUnavailableBudgetList{Items: selected(s.budgets, selector, func(b *policyv1beta1.PodUnavailableBudget) map[string]string { return b.Labels })}
	case "/apis/policy.kruise.io/v1beta1/namespaces/default/podunavailablebudgets/web":
		answer = s.budgets[0]
	case "/api/v1/nodes":
		answer = &corev1.NodeList{Items: selected(s.w.Nodes, selector, func(n *corev1.Node) map[string]string { return n.Labels })}
	case "/api/v1/namespaces":
		answer = &corev1.NamespaceList{Items: []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "default"}}}}
	case "/api/v1/namespaces/default/pods", "/api/v1/pods":
		answer = &corev1.PodList{Items: selected(s.w.Pods, selector, func(p *corev1.Pod) map[string]string { return p.Labels })}
	case "/api/v1/namespaces/default/persistentvolumeclaims":
		answer = &corev1.PersistentVolumeClaimList{Items: selected(s.w.Claims, selector, func(c *corev1.PersistentVolumeClaim) map[string]string { return c.Labels })}
	case "/apis/apps/v1/namespaces/default/controllerrevisions", "/apis/apps/v1/controllerrevisions":
		answer = &appsv1.ControllerRevisionList{Items: selected(s.revisions, selector, func(r *appsv1.ControllerRevision) map[string]string { return r.Labels })}
	default:
		missing := apierrors.NewNotFound(schema.GroupResource{Group: "apps.kruise.io", Resource: plural}, strings.TrimPrefix(path, plural+"/"))
		status := missing.Status()
		status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		answer = &status
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.Errorf("%s: %v", r.URL, err)
	}
}

func selected[T any](items []*T, selector labels.Selector, of func(*T) map[string]string) []T {
	out := []T{}
	for _, item := range items {
		if selector.Matches(labels.Set(of(item))) {
			out = append(out, *item)
		}
	}
	return out
}

// ago is a time in the world's past.
func (s *stage) ago(d time.Duration) metav1.Time { return metav1.NewTime(s.w.Now.Add(-d)) }

// name makes up an instance id that reads well: a, b, c, and so on.
func name(n int) string {
	if n > 26 {
		return name((n-1)/26) + name((n-1)%26+1)
	}
	return string(rune('a' + n - 1))
}
