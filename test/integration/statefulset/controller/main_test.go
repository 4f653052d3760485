// Package controller proves on a real API server what the controller of StatefulSets does, step by step.
package controller

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/manager/statefulset"
	"kruise.io/kruise/plan/workload"
	"kruise.io/kruise/test/builder"
	"kruise.io/kruise/test/integration/apiserver"
	"kruise.io/kruise/test/integration/stepped"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	apiserver.Main(m, &server, makeClass, apiserver.Manager(func(o *manager.Options, _ *serve.Options) {
		o.Workloads, o.Images.Enabled = gates(), true // or else no job that pulls images ahead is let in
	}))
}

// makeClass makes a StorageClass whose volumes can grow.
func makeClass(ctx context.Context, s *apiserver.Server) error {
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "growing"}, Provisioner: "example.com/disk", AllowVolumeExpansion: ptr.To(true)}
	return s.Client.Create(ctx, class)
}

// gates are all gates of StatefulSets, switched on.
func gates() workload.Options {
	return workload.Options{AutoDeleteClaims: true, StartOrdinal: true, ResizeClaims: true, PodIndexLabel: true}
}

// world is a stepped world with one StatefulSet, web.
type world struct {
	*stepped.Workload[*v1beta1.StatefulSet]
}

const web = "web"

// newWorld makes a world with a StatefulSet, unless it is nil, and does not reconcile it.
func newWorld(t *testing.T, set *builder.StatefulSetBuilder) *world {
	t.Helper()
	t.Parallel()
	w := worldIn(t, server.Namespace(t), statefulset.Options{Options: gates()})
	if set != nil {
		w.Create(set.Namespace(w.Namespace).Object())
	}
	return w
}

// worldIn makes a world in a namespace that exists.
func worldIn(t *testing.T, namespace string, options statefulset.Options) *world {
	t.Helper()
	kinds := []client.ObjectList{&v1beta1.StatefulSetList{}, &corev1.PersistentVolumeClaimList{}}
	if options.PullAhead {
		kinds = append(kinds, stepped.PullJobs())
	}
	at := types.NamespacedName{Namespace: namespace, Name: web}
	return &world{stepped.About(t, server, at, func() *v1beta1.StatefulSet { return &v1beta1.StatefulSet{} }, options.NewReconciler, kinds...)}
}

// running makes a world whose StatefulSet is complete.
func running(t *testing.T, set *builder.StatefulSetBuilder) *world {
	t.Helper()
	w := newWorld(t, set)
	w.Finish()
	w.Writes()
	return w
}

func (w *world) scale(n int32) {
	w.Helper()
	w.change(func(s *v1beta1.StatefulSetSpec) { s.Replicas = &n })
}

// change changes the spec of the StatefulSet.
func (w *world) change(change func(*v1beta1.StatefulSetSpec)) {
	w.Helper()
	w.Change(func(set *v1beta1.StatefulSet) { change(&set.Spec) })
}

// image has the StatefulSet run another image.
func (w *world) image(image string) {
	w.Helper()
	w.change(func(s *v1beta1.StatefulSetSpec) { s.Template.Spec.Containers[0].Image = image })
}

// pods shows the pods and their images: "web-0 a:1, web-1 a:2". One that is being deleted has a minus before it.
func (w *world) pods() string {
	w.Helper()
	var words []string
	for _, pod := range w.Pods() {
		word := pod.Name + " " + pod.Spec.Containers[0].Image
		if pod.DeletionTimestamp != nil {
			word = "-" + word
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// wantPods fails the test when there are other pods, or they run other images.
func (w *world) wantPods(when, want string) {
	w.Helper()
	if got := w.pods(); got != want {
		w.Errorf("%s there are the pods %q, want %q", when, got, want)
	}
}

// step reconciles once and looks at the pods.
func (w *world) step(when, want string) {
	w.Helper()
	w.Turn()
	w.wantPods(when, want)
}

// play lets scheduler and kubelet do all that there is to do for a pod.
func (w *world) play(names ...string) {
	w.Helper()
	for _, name := range names {
		for w.Play(name) {
		}
	}
}

// uids lists the pods that are not being deleted by name.
func (w *world) uids() map[string]types.UID {
	w.Helper()
	out := map[string]types.UID{}
	for _, pod := range w.Pods() {
		if pod.DeletionTimestamp == nil {
			out[pod.Name] = pod.UID
		}
	}
	return out
}

// available counts the pods that are ready and in no update.
func (w *world) available() (n int) {
	w.Helper()
	for _, pod := range w.Pods() {
		ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
		if pod.DeletionTimestamp == nil && ready && pod.Labels[v1beta1.LifecycleStateKey] == "Normal" {
			n++
		}
	}
	return n
}

func (w *world) wantAvailable(when string, want int) {
	w.Helper()
	if n := w.Object().Status.AvailableReplicas; int(n) != want || w.available() != want {
		w.Errorf("%s: %d pods are available, and the status says %d; want %d", when, w.available(), n, want)
	}
}

// message is what the condition Progressing says.
func (w *world) message() string {
	w.Helper()
	for _, c := range w.Object().Status.Conditions {
		if c.Type == v1beta1.StatefulSetConditionProgressing {
			return c.Message
		}
	}
	return ""
}

func (w *world) controllerRef() metav1.OwnerReference {
	w.Helper()
	return metav1.OwnerReference{
		APIVersion: "apps.kruise.io/v1beta1", Kind: "StatefulSet", Name: web, UID: w.Object().UID,
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}
}
