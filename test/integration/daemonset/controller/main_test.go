// Package controller proves on a real API server what the controller of DaemonSets does, step by step.
package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/manager/daemonset"
	"kruise.io/kruise/test/integration/apiserver"
	"kruise.io/kruise/test/integration/stepped"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	apiserver.Main(m, &server, apiserver.Manager(func(o *manager.Options, _ *serve.Options) {
		o.Images.Enabled = true // or else no job that pulls images ahead is let in
	}))
}

const agent = "agent"

// worldLabel is the label of nodes that says to which world they belong: all worlds of a server share its nodes.
const worldLabel = "example.com/world"

// world is a stepped world with one DaemonSet, agent, and nodes of its own: a, b, c, and so on.
type world struct {
	*stepped.Workload[*v1beta1.DaemonSet]
}

// newWorld makes a world with a DaemonSet on so many nodes, and does not reconcile it.
func newWorld(t *testing.T, nodes int, options daemonset.Options, change func(*v1beta1.DaemonSetSpec)) *world {
	t.Helper()
	t.Parallel()
	w := worldIn(t, server.Namespace(t), options)
	for i := range nodes {
		w.addNode(string(rune('a' + i)))
	}
	set := &v1beta1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: agent}}
	labels := map[string]string{"app": agent}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	set.Spec.Template.Labels = maps.Clone(labels)
	set.Spec.Template.Spec.NodeSelector = map[string]string{worldLabel: w.Namespace}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "a:1"}}
	if change != nil {
		change(&set.Spec)
	}
	w.Create(set)
	return w
}

// worldIn makes a world in a namespace that exists.
func worldIn(t *testing.T, namespace string, options daemonset.Options) *world {
	t.Helper()
	kinds := []client.ObjectList{&v1beta1.DaemonSetList{}, &corev1.NodeList{}}
	if options.PullAheadForDaemonSets {
		kinds = append(kinds, stepped.PullJobs())
	}
	at := types.NamespacedName{Namespace: namespace, Name: agent}
	return &world{stepped.About(t, server, at, func() *v1beta1.DaemonSet { return &v1beta1.DaemonSet{} }, options.NewReconciler, kinds...)}
}

// running makes a world whose DaemonSet is complete.
func running(t *testing.T, nodes int, change func(*v1beta1.DaemonSetSpec)) *world {
	t.Helper()
	w := newWorld(t, nodes, daemonset.Options{}, change)
	w.Finish()
	w.Writes()
	return w
}

// node is the full name of a node of this world.
func (w *world) node(name string) string { return w.Namespace + "-" + name }

func (w *world) addNode(name string) {
	w.Helper()
	w.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: w.node(name), Labels: map[string]string{worldLabel: w.Namespace}}})
	// The API server taints a node that nobody has found ready yet.
	w.changeNode(name, func(n *corev1.Node) { n.Spec.Taints = nil })
	w.Cleanup(func() {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: w.node(name)}}
		if err := client.IgnoreNotFound(w.API.Delete(context.Background(), node)); err != nil {
			w.Errorf("delete node %s: %v", node.Name, err)
		}
	})
}

// changeNode changes a node.
func (w *world) changeNode(name string, change func(*corev1.Node)) {
	w.Helper()
	node := &corev1.Node{}
	if err := w.API.Get(w.Context(), client.ObjectKey{Name: w.node(name)}, node); err != nil {
		w.Fatal(err)
	}
	before := node.DeepCopy()
	change(node)
	if err := w.API.Patch(w.Context(), node, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

// change changes the spec of the DaemonSet.
func (w *world) change(change func(*v1beta1.DaemonSetSpec)) {
	w.Helper()
	w.Change(func(set *v1beta1.DaemonSet) { change(&set.Spec) })
}

// image has the DaemonSet run another image.
func (w *world) image(image string) {
	w.Helper()
	w.change(func(s *v1beta1.DaemonSetSpec) { s.Template.Spec.Containers[0].Image = image })
}

// rolling gives the DaemonSet a rolling update.
func rolling(r v1beta1.RollingUpdateDaemonSet) func(*v1beta1.DaemonSetSpec) {
	return func(s *v1beta1.DaemonSetSpec) {
		s.UpdateStrategy = v1beta1.DaemonSetUpdateStrategy{Type: v1beta1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &r}
	}
}

func number(n int32) *intstr.IntOrString { return new(intstr.FromInt32(n)) }

// placed tells which images run where: "a a:1, b a:2".
func (w *world) placed() string {
	w.Helper()
	var words []string
	for _, pod := range w.Pods() {
		if pod.DeletionTimestamp == nil {
			words = append(words, strings.TrimPrefix(pod.Spec.NodeName, w.Namespace+"-")+" "+pod.Spec.Containers[0].Image)
		}
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func (w *world) wantPlaced(when, want string) {
	w.Helper()
	if got := w.placed(); got != want {
		w.Errorf("%s: pods are %q, want %q", when, got, want)
	}
}

// counts are those of the status, as kubectl prints them: desired, current, ready, up to date, available, and misscheduled.
func (w *world) wantCounts(when, want string) {
	w.Helper()
	s := w.Object().Status
	got := fmt.Sprint(s.DesiredNumberScheduled, s.CurrentNumberScheduled, s.NumberReady, s.UpdatedNumberScheduled, s.NumberAvailable, s.NumberMisscheduled)
	if got != want {
		w.Errorf("%s: the status counts %s, want %s", when, got, want)
	}
}

func (w *world) condition(kind v1beta1.DaemonSetConditionType) *v1beta1.DaemonSetCondition {
	w.Helper()
	set := w.Object()
	for i := range set.Status.Conditions {
		if set.Status.Conditions[i].Type == kind {
			return &set.Status.Conditions[i]
		}
	}
	return nil
}
