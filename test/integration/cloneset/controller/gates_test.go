package controller

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/cloneset"
	"kruise.io/kruise/plan/workload"
	"kruise.io/kruise/test/builder"
)

// runningWith makes a world whose CloneSet is complete, under a manager with options.
func runningWith(t *testing.T, options cloneset.Options, set *builder.CloneSetBuilder) *world {
	t.Helper()
	t.Parallel()
	w := worldIn(t, server.Namespace(t), options)
	w.Create(set.Namespace(w.Namespace).Object())
	w.Finish()
	return w
}

func TestTheImagesOfARolloutArePulledAheadOfIt(t *testing.T) {
	w := runningWith(t, cloneset.Options{Options: workload.Options{PullAhead: true}}, builder.CloneSet(web).Replicas(5).InPlace())
	w.change(func(s *v1beta1.CloneSetSpec) {
		s.Template.Spec.Containers[0].Image = "a:2"
		s.UpdateStrategy.RollingUpdate.Partition = ptr.To(intstr.FromInt32(4))
	})
	w.Finish()
	jobs := w.Jobs()
	newest := w.Object().Status.UpdateRevision
	if len(jobs) != 1 || jobs[0].Name != newest+"-"+w.Object().Spec.Template.Spec.Containers[0].Name || jobs[0].Spec.Image != "a:2" {
		t.Fatalf("jobs %+v, want one for a:2 of revision %s", jobs, newest)
	}
	if revisions := w.Revisions(); revisions[len(revisions)-1].Labels["apps.kruise.io/pre-predownload-created"] != "true" {
		t.Errorf("labels of the newest revision: %v", revisions[len(revisions)-1].Labels)
	}
	if err := w.API.Delete(w.Context(), &jobs[0]); err != nil {
		t.Fatal(err)
	}
	w.change(func(s *v1beta1.CloneSetSpec) { s.UpdateStrategy.RollingUpdate.Partition = ptr.To(intstr.FromInt32(3)) })
	w.Finish()
	if again := w.Jobs(); len(again) > 0 {
		t.Errorf("made again: %v", again[0].Name)
	}
}

func TestJobsOfARolloutThatIsCompleteAreDeleted(t *testing.T) {
	w := runningWith(t, cloneset.Options{Options: workload.Options{PullAhead: true}}, builder.CloneSet(web).Replicas(5).InPlace())
	w.change(func(s *v1beta1.CloneSetSpec) {
		s.Template.Spec.Containers[0].Image = "a:2"
		s.UpdateStrategy.RollingUpdate.Partition = ptr.To(intstr.FromInt32(4))
	})
	w.Finish()
	if len(w.Jobs()) != 1 {
		t.Fatalf("jobs %v", w.Jobs())
	}
	w.change(func(s *v1beta1.CloneSetSpec) { s.UpdateStrategy.RollingUpdate.Partition = nil })
	w.Finish()
	if left := w.Jobs(); len(left) > 0 {
		t.Errorf("left: %v", left[0].Name)
	}
}

func TestClaimTemplatesMayMakeARollout(t *testing.T) {
	options := cloneset.Options{Options: workload.Options{RecreateForClaims: true}}
	w := runningWith(t, options, builder.CloneSet(web).Replicas(3).Claim("data").InPlace())
	before := w.uids()
	w.change(func(s *v1beta1.CloneSetSpec) { s.VolumeClaimTemplates[0].Labels = map[string]string{"tier": "fast"} })
	w.Finish()
	for uid, name := range w.uids() {
		if before[uid] != "" {
			t.Errorf("pod %s was not recreated", name)
		}
	}
	w.wantClaims("with other claims")
	for _, name := range w.claims() {
		claim := &corev1.PersistentVolumeClaim{}
		w.Get(name, claim)
		if claim.Labels["tier"] != "fast" {
			t.Errorf("claim %s has the labels %v", name, claim.Labels)
		}
	}
	if revisions := w.Revisions(); len(revisions) != 2 || string(revisions[0].Data.Raw) != string(revisions[1].Data.Raw) {
		t.Errorf("%d revisions", len(revisions))
	}
}

// sizes are the sizes that the claims ask for which are not being deleted.
func (w *world) sizes() map[string]string {
	w.Helper()
	out := map[string]string{}
	for _, name := range w.claims() {
		claim := &corev1.PersistentVolumeClaim{}
		w.Get(name, claim)
		out[name] = claim.Spec.Resources.Requests.Storage().String()
	}
	return out
}

func TestClaimsAreUsedAgainAsLongAsTheyAreWhatTheirTemplatesSay(t *testing.T) {
	options := cloneset.Options{Options: workload.Options{RecreateForClaims: true}}
	w := runningWith(t, options, builder.CloneSet(web).Replicas(3).Claim("data").ReuseClaims())
	size := func(size string) func(*v1beta1.CloneSetSpec) {
		return func(s *v1beta1.CloneSetSpec) {
			s.VolumeClaimTemplates[0].Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
		}
	}
	for _, step := range []struct {
		name   string
		change func(*v1beta1.CloneSetSpec)
		keeps  bool
		size   string
	}{
		{"another image", func(s *v1beta1.CloneSetSpec) { s.Template.Spec.Containers[0].Image = "a:2" }, true, "1Gi"},
		{"larger claims", size("2Gi"), false, "2Gi"},
		{"another image once more", func(s *v1beta1.CloneSetSpec) { s.Template.Spec.Containers[0].Image = "a:3" }, true, "2Gi"},
		{"smaller claims", size("1Gi"), true, "2Gi"},
		{"another label of claims", func(s *v1beta1.CloneSetSpec) { s.VolumeClaimTemplates[0].Labels = map[string]string{"tier": "fast"} }, false, "1Gi"},
	} {
		pods, claims := w.uids(), w.claims()
		w.change(step.change)
		w.Finish()
		for uid, name := range w.uids() {
			if pods[uid] != "" {
				t.Errorf("%s: pod %s was not recreated", step.name, name)
			}
		}
		w.wantClaims(step.name)
		for name, size := range w.sizes() {
			if slices.Contains(claims, name) != step.keeps || size != step.size {
				t.Errorf("%s: claim %s of %s, the claims before were %v; want them kept: %v, and %s", step.name, name, size, claims, step.keeps, step.size)
			}
		}
		if set := w.Object(); set.Status.CurrentRevision != set.Status.UpdateRevision || set.Status.UpdatedAvailableReplicas != 3 {
			t.Errorf("%s: status %+v", step.name, set.Status)
		}
	}
}

func TestAGateThatOpensRecreatesNobody(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(2).Claim("data").InPlace())
	before := w.uids()
	open := worldIn(t, w.Namespace, cloneset.Options{Options: workload.Options{RecreateForClaims: true, ShortHash: true}})
	open.Finish()
	if diff := cmp.Diff(before, open.uids()); diff != "" {
		t.Errorf("pods (-before +after):\n%s", diff)
	}
	if hash := open.Revisions()[0].Annotations["kruise.io/cloneset-volumeclaimtemplate-hash"]; hash == "" {
		t.Error("the revision does not say what claims it was made with")
	}
	open.image("a:2")
	open.Finish()
	if diff := cmp.Diff(before, open.uids()); diff != "" {
		t.Errorf("an image changed in place, and the pods did (-before +after):\n%s", diff)
	}
	for _, pod := range open.active() {
		if label := pod.Labels["controller-revision-hash"]; strings.Contains(label, "-") {
			t.Errorf("pod %s has the revision label %s, want the short hash", pod.Name, label)
		}
	}
}

func TestAHookKeepsAPodOutOfServiceBesideOthers(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(2).InPlace())
	w.change(func(s *v1beta1.CloneSetSpec) {
		s.Lifecycle = &v1beta1.Lifecycle{PreDelete: &v1beta1.LifecycleHook{FinalizersHandler: []string{"example.com/drain"}, MarkPodNotReady: true}}
	})
	name := w.names()[0]
	pod := w.Pod(name)
	before := pod.DeepCopy()
	pod.Finalizers = append(pod.Finalizers, "example.com/drain")
	if err := w.API.Patch(w.Context(), pod, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	w.label(name, v1beta1.SpecifiedDeleteKey, "true")
	w.Finish()
	held := w.Pod(name)
	if state := held.Labels[v1beta1.LifecycleStateKey]; state != "PreparingDelete" || condition(held, "KruisePodReady") != corev1.ConditionFalse || isTrue(held, corev1.PodReady) {
		t.Fatalf("state %s, conditions %+v", state, held.Status.Conditions)
	}
	i := slices.IndexFunc(held.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == "KruisePodReady" })
	if got := held.Status.Conditions[i].Message; got != `[{"userAgent":"Lifecycle","key":"preDeleteHook"}]` {
		t.Errorf("message %s", got)
	}
	before = held.DeepCopy()
	held.Finalizers = nil
	if err := w.API.Patch(w.Context(), held, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	w.Finish()
	if left := slices.Sorted(maps.Values(w.uids())); slices.Contains(left, name) || len(left) != 2 {
		t.Errorf("pods %v", left)
	}
}
