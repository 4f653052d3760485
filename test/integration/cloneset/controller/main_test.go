// Package controller proves on a real API server what the controller of CloneSets does, step by step.
package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/manager/cloneset"
	"kruise.io/kruise/test/builder"
	"kruise.io/kruise/test/integration/apiserver"
	"kruise.io/kruise/test/integration/stepped"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	apiserver.Main(m, &server, apiserver.Manager(func(o *manager.Options, _ *serve.Options) {
		o.Images.Enabled = true // or else no job is let in
	}))
}

// world is a stepped world with one CloneSet, web.
type world struct {
	*stepped.Workload[*v1beta1.CloneSet]
}

const web = "web"

// newWorld makes a world with a CloneSet, unless it is nil, and does not reconcile it.
func newWorld(t *testing.T, set *builder.CloneSetBuilder) *world {
	t.Helper()
	t.Parallel()
	w := worldIn(t, server.Namespace(t), cloneset.Options{})
	if set != nil {
		w.Create(set.Namespace(w.Namespace).Object())
	}
	return w
}

// worldIn makes a world in a namespace that exists.
func worldIn(t *testing.T, namespace string, options cloneset.Options) *world {
	t.Helper()
	kinds := []client.ObjectList{&v1beta1.CloneSetList{}, &corev1.PersistentVolumeClaimList{}}
	if options.PullAhead {
		kinds = append(kinds, stepped.PullJobs())
	}
	at := types.NamespacedName{Namespace: namespace, Name: web}
	return &world{stepped.About(t, server, at, func() *v1beta1.CloneSet { return &v1beta1.CloneSet{} }, options.NewReconciler, kinds...)}
}

// running makes a world whose CloneSet is complete.
func running(t *testing.T, set *builder.CloneSetBuilder) *world {
	t.Helper()
	w := newWorld(t, set)
	w.Finish()
	w.Writes()
	return w
}

// change changes the spec of the CloneSet.
func (w *world) change(change func(*v1beta1.CloneSetSpec)) {
	w.Helper()
	w.Change(func(set *v1beta1.CloneSet) { change(&set.Spec) })
}

// image has the CloneSet run another image.
func (w *world) image(image string) {
	w.Helper()
	w.change(func(s *v1beta1.CloneSetSpec) { s.Template.Spec.Containers[0].Image = image })
}

// active lists the pods that are not being deleted.
func (w *world) active() []corev1.Pod {
	w.Helper()
	return slices.DeleteFunc(w.Pods(), func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

// images counts the active pods by image: "a:1 ×2, a:2 ×3".
func (w *world) images() string {
	w.Helper()
	counts := map[string]int{}
	for _, pod := range w.active() {
		counts[pod.Spec.Containers[0].Image]++
	}
	var words []string
	for image, n := range counts {
		words = append(words, fmt.Sprintf("%s ×%d", image, n))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// wantImages fails the test when the active pods run other images.
func (w *world) wantImages(when, want string) {
	w.Helper()
	if got := w.images(); got != want {
		w.Errorf("%s: pods run %s, want %s", when, got, want)
	}
}

// uids lists the pods by UID, those that are being deleted included.
func (w *world) uids() map[types.UID]string {
	w.Helper()
	out := map[types.UID]string{}
	for _, pod := range w.Pods() {
		out[pod.UID] = pod.Name
	}
	return out
}

// available counts the pods that are ready and in no update.
func (w *world) available() (n int) {
	w.Helper()
	for _, pod := range w.active() {
		if isTrue(&pod, corev1.PodReady) && isTrue(&pod, v1beta1.InPlaceUpdateReady) && pod.Labels[v1beta1.LifecycleStateKey] == "Normal" {
			n++
		}
	}
	return n
}

func resourceVersion(version string) *metav1.ListOptions {
	return &metav1.ListOptions{ResourceVersion: version}
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) corev1.ConditionStatus {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return ""
}

func isTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	return condition(pod, kind) == corev1.ConditionTrue
}

// claims lists the claims that are not being deleted, by name.
func (w *world) claims() []string {
	w.Helper()
	list := &corev1.PersistentVolumeClaimList{}
	if err := w.API.List(w.Context(), list, client.InNamespace(w.Namespace)); err != nil {
		w.Fatal(err)
	}
	var names []string
	for _, claim := range list.Items {
		if claim.DeletionTimestamp == nil {
			names = append(names, claim.Name)
		}
	}
	slices.Sort(names)
	return names
}

// writesOf counts what was written of pods, by pod; creations have no name and count for the empty one.
func writesOf(writes []stepped.Write) map[string]int {
	out := map[string]int{}
	for _, write := range writes {
		if strings.HasPrefix(write.Resource, "pods") {
			out[write.Name]++
		}
	}
	return out
}

// condition finds a condition of the CloneSet.
func (w *world) conditionOf(kind v1beta1.CloneSetConditionType) *v1beta1.CloneSetCondition {
	w.Helper()
	set := w.Object()
	for i := range set.Status.Conditions {
		if set.Status.Conditions[i].Type == kind {
			return &set.Status.Conditions[i]
		}
	}
	return nil
}
