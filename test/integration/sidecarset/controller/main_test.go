// Package controller proves on a real API server what the controller of SidecarSets does, step by step. No webhook runs there,
// so that objects can be as other managers left them; tests inject pods as the webhook does.
package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/sidecarset"
	"kruise.io/kruise/plan/sidecar"
	"kruise.io/kruise/test/integration/apiserver"
	"kruise.io/kruise/test/integration/stepped"
)

var server *apiserver.Server

func TestMain(m *testing.M) { apiserver.Main(m, &server, withoutWebhooks) }

func withoutWebhooks(ctx context.Context, s *apiserver.Server) error {
	return errors.Join(s.Client.DeleteAllOf(ctx, &admissionregistrationv1.MutatingWebhookConfiguration{}),
		s.Client.DeleteAllOf(ctx, &admissionregistrationv1.ValidatingWebhookConfiguration{}))
}

// world is a stepped world with one SidecarSet, proxy.
type world struct {
	*stepped.World
	key types.NamespacedName
}

func emptyWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	namespace := server.Namespace(t)
	setup := func(ctx context.Context, mgr ctrl.Manager, now clock.PassiveClock) (reconcile.Reconciler, error) {
		return sidecarset.Options{Namespace: namespace}.NewReconciler(ctx, mgr, now)
	}
	kinds := []client.ObjectList{&v1beta1.SidecarSetList{}, &corev1.PodList{}, &appsv1.ControllerRevisionList{}}
	return &world{World: stepped.In(t, server, namespace, setup, kinds...), key: types.NamespacedName{Name: namespace + "-proxy"}}
}

// newWorld makes a world with a SidecarSet that has one container, proxy, unless change says otherwise, and with so many pods.
func newWorld(t *testing.T, pods int, change func(*v1beta1.SidecarSetSpec)) *world {
	t.Helper()
	w := emptyWorld(t)
	w.addSet(w.key.Name, "proxy", change)
	w.rest()
	for i := range pods {
		w.addPod(string(rune('a'+i)), w.key.Name)
	}
	w.rest()
	w.Writes()
	return w
}

func (w *world) addSet(name, container string, change func(*v1beta1.SidecarSetSpec)) {
	w.Helper()
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: name}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "demo"}}
	set.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: w.Namespace}}
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: container, Image: container + ":1"}}}
	if change != nil {
		change(&set.Spec)
	}
	if err := w.API.Create(w.Context(), set); err != nil {
		w.Fatalf("create SidecarSet %s: %v", name, err)
	}
	w.Cleanup(func() {
		if err := client.IgnoreNotFound(w.API.Delete(context.Background(), set)); err != nil {
			w.Error(err)
		}
	})
}

func (w *world) set(name string) *v1beta1.SidecarSet {
	w.Helper()
	set := &v1beta1.SidecarSet{}
	if err := w.API.Get(w.Context(), client.ObjectKey{Name: name}, set); err != nil {
		w.Fatal(err)
	}
	return set
}

// change changes the spec of a SidecarSet, with the hashes that the webhook would write.
func (w *world) change(name string, change func(*v1beta1.SidecarSetSpec)) {
	w.Helper()
	set := w.set(name)
	before := set.DeepCopy()
	change(&set.Spec)
	if err := sidecar.Stamp(set, before); err != nil {
		w.Fatal(err)
	}
	if err := w.API.Patch(w.Context(), set, client.MergeFrom(before)); err != nil {
		w.Fatalf("change SidecarSet %s: %v", name, err)
	}
}

func (w *world) image(image string) {
	w.Helper()
	w.change(w.key.Name, func(s *v1beta1.SidecarSetSpec) { s.Containers[0].Image = image })
}

// addPod lets somebody create a pod into which sets are injected.
func (w *world) addPod(name string, sets ...string) {
	w.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name, Labels: map[string]string{"app": "demo"}}}
	pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "main:1"}}
	var all []sidecar.Injection
	for _, name := range sets {
		set := w.set(name)
		all = append(all, sidecar.Injection{Set: set, Revision: set.Status.LatestRevision})
	}
	if problems := sidecar.Inject(pod, all, sidecar.Options{Now: metav1.NewTime(w.Clock.Now())}); len(problems) > 0 {
		w.Fatal(problems)
	}
	if err := w.API.Create(w.Context(), pod); err != nil {
		w.Fatalf("create pod %s: %v", name, err)
	}
}

func (w *world) rest() {
	w.Helper()
	w.Rest(w.key)
}

// images tells what containers of the pods are to run: "a proxy:1 main:1, b proxy:2 main:1".
func (w *world) images() string {
	w.Helper()
	var out []string
	for _, pod := range w.Pods() {
		words := []string{pod.Name}
		for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			words = append(words, c.Image)
		}
		out = append(out, strings.Join(words, " "))
	}
	return strings.Join(out, ", ")
}

func (w *world) wantImages(when, want string) {
	w.Helper()
	if got := w.images(); got != want {
		w.Errorf("%s: pods have %q, want %q", when, got, want)
	}
}

// wantStatus compares the counts of the status: matched, updated, ready, updated and ready.
func (w *world) wantStatus(when, want string) {
	w.Helper()
	s := w.set(w.key.Name).Status
	if got := fmt.Sprint(s.MatchedPods, s.UpdatedPods, s.ReadyPods, s.UpdatedReadyPods); got != want {
		w.Errorf("%s: the status counts %s, want %s", when, got, want)
	}
}

// condition is a condition of the set as "status reason: message"; empty for none.
func (w *world) condition(kind string) string {
	w.Helper()
	for _, c := range w.set(w.key.Name).Status.Conditions {
		if c.Type == kind {
			return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
		}
	}
	return ""
}

// record reads the record of a pod.
func (w *world) record(pod string) *sidecar.Record {
	w.Helper()
	record, err := sidecar.Read(w.Pod(pod))
	if err != nil {
		w.Fatal(err)
	}
	return record
}

// untouched checks that the containers that the pods' author wrote never restarted.
func (w *world) untouched() {
	w.Helper()
	for _, pod := range w.Pods() {
		for _, s := range pod.Status.ContainerStatuses {
			if s.Name == "main" && s.RestartCount != 0 {
				w.Errorf("the container main of pod %s restarted %d times", pod.Name, s.RestartCount)
			}
		}
	}
}

func (w *world) revisions() []appsv1.ControllerRevision {
	w.Helper()
	list := &appsv1.ControllerRevisionList{}
	if err := w.API.List(w.Context(), list, client.InNamespace(w.Namespace)); err != nil {
		w.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b appsv1.ControllerRevision) int { return int(a.Revision - b.Revision) })
	return list.Items
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
