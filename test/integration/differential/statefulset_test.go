package differential

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/statefulset"
	"kruise.io/kruise/plan/workload"
	"kruise.io/kruise/test/integration/stepped"
)

// ordinalSpec is what both StatefulSets are told.
type ordinalSpec struct {
	replicas, partition, start int32
	image, env, track          string
	policy                     appsv1.PodManagementPolicyType
	onDelete, claims           bool
	// keep is what becomes of the claims of pods that are scaled in, and outlive of all when the set is deleted.
	keep, outlive appsv1.PersistentVolumeClaimRetentionPolicyType
}

func TestStatefulSetsOfBothGroupsComeToTheSameEnd(t *testing.T) {
	server.RunControllers(t, "statefulset-controller", "garbage-collector-controller")
	play(t, func(t *testing.T, seed int) {
		t.Helper()
		c := ordinalCases().Example(seed)
		t.Logf("%+v\n%v", c.spec, c.moves)
		meetOrdinals(t, c.spec).play(c.moves)
	})
}

// meetOrdinals makes two StatefulSets that are told the same.
func meetOrdinals(t *testing.T, spec ordinalSpec) *rivals[ordinalSpec] {
	t.Helper()
	setup := statefulset.Options{Options: workload.Options{AutoDeleteClaims: true, StartOrdinal: true, PodIndexLabel: true}}.NewReconciler
	w := stepped.New(t, server, setup,
		&v1beta1.StatefulSetList{}, &corev1.PodList{}, &corev1.PersistentVolumeClaimList{}, &appsv1.ControllerRevisionList{})
	return meet(w, spec, nativeStatefulSet(w), ourStatefulSet(w))
}

// TestOnlyOursSaysThatAnUpdateOnDeleteIsComplete tells what is left out of the comparison where pods are updated OnDelete.
func TestOnlyOursSaysThatAnUpdateOnDeleteIsComplete(t *testing.T) {
	server.RunControllers(t, "statefulset-controller", "garbage-collector-controller")
	w := meetOrdinals(t, ordinalSpec{
		replicas: 2, image: "a:1", env: "1", track: "stable", policy: appsv1.ParallelPodManagement, onDelete: true,
		keep: appsv1.RetainPersistentVolumeClaimRetentionPolicyType, outlive: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
	})
	w.play([]move[ordinalSpec]{
		{words: "begin", all: true},
		{words: "image a:2", change: func(s *ordinalSpec) { s.image = "a:2" }, all: true},
		{words: "delete all pods", world: func(r *rivals[ordinalSpec]) {
			r.deletePods(func(string, *corev1.Pod) bool { return true })
		}, all: true},
	})
	theirs, ourSet := &appsv1.StatefulSet{}, &v1beta1.StatefulSet{}
	w.Get(native, theirs)
	w.Get(ours, ourSet)
	if s := theirs.Status; s.UpdatedReplicas != 2 || s.CurrentReplicas != 0 || s.CurrentRevision == s.UpdateRevision {
		t.Errorf("the native one says %+v", s)
	}
	if s := ourSet.Status; s.UpdatedReplicas != 2 || s.CurrentReplicas != 2 || s.CurrentRevision != s.UpdateRevision {
		t.Errorf("ours says %+v", s)
	}
}

// ordinalCase is a spec to begin with, and the moves.
type ordinalCase struct {
	spec  ordinalSpec
	moves []move[ordinalSpec]
}

// ordinalCases makes up cases. In half of them each move is made once both have come to their end with the one before, so that it
// is known what each pod must be. In the others moves come as they like, and what depends on their timing is left out: pods that
// keep an older revision, of which there may have been several.
func ordinalCases() *rapid.Generator[ordinalCase] {
	return rapid.Custom(func(t *rapid.T) ordinalCase {
		c := ordinalCase{spec: ordinalSpec{
			replicas: rapid.Int32Range(0, 5).Draw(t, "replicas"), image: "a:1", env: "1", track: "stable",
			policy: rapid.SampledFrom([]appsv1.PodManagementPolicyType{appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement}).Draw(t, "policy"),
			claims: rapid.Bool().Draw(t, "claims"),
			keep:   retentions().Draw(t, "keep"), outlive: retentions().Draw(t, "outlive"),
		}}
		calm := rapid.Bool().Draw(t, "calm")
		c.spec.onDelete = calm && rapid.IntRange(0, 3).Draw(t, "on delete") == 0
		c.moves = rapid.SliceOfN(ordinalMoves(c.spec, calm), 3, 7).Draw(t, "moves")
		if calm {
			c.moves = calmly(c.moves)
		}
		last := move[ordinalSpec]{words: "an image that can be pulled", all: true, change: func(s *ordinalSpec) {
			if s.image == brokenImage {
				s.image = "a:4"
			}
		}}
		c.moves = append(c.moves, last)
		return c
	})
}

func retentions() *rapid.Generator[appsv1.PersistentVolumeClaimRetentionPolicyType] {
	return rapid.SampledFrom([]appsv1.PersistentVolumeClaimRetentionPolicyType{
		appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
	})
}

func ordinalMoves(s ordinalSpec, calm bool) *rapid.Generator[move[ordinalSpec]] {
	images := []string{"a:1", "a:2", "a:3"}
	if !calm && s.policy == appsv1.ParallelPodManagement { // one after the other, the native kind waits for a broken pod for ever
		images = append(images, brokenImage)
	}
	return rapid.Custom(func(t *rapid.T) move[ordinalSpec] {
		kinds := []string{"image", "image", "env", "track", "scale", "scale", "delete", "label"}
		if calm {
			kinds = append(kinds, "partition", "partition", "start")
		}
		if calm && s.claims { // or else it turns on the moment whether a pod runs already
			kinds = append(kinds, "claim", "claim")
		}
		var m move[ordinalSpec]
		switch kind := rapid.SampledFrom(kinds).Draw(t, "kind"); kind {
		case "image":
			image := rapid.SampledFrom(images).Draw(t, "image")
			m = move[ordinalSpec]{words: "image " + image, change: func(s *ordinalSpec) { s.image = image }}
		case "env", "track":
			value := rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")
			m = move[ordinalSpec]{words: kind + " " + value, change: func(s *ordinalSpec) {
				if kind == "env" {
					s.env = value
				} else {
					s.track = value
				}
			}}
		case "delete":
			n := rapid.IntRange(0, 4).Draw(t, "ordinal")
			m = move[ordinalSpec]{words: fmt.Sprintf("delete pod %d", n), world: func(r *rivals[ordinalSpec]) {
				r.deletePods(func(owner string, pod *corev1.Pod) bool { return pod.Name == fmt.Sprintf("%s-%d", owner, n) })
			}}
		case "label":
			n := rapid.IntRange(0, 4).Draw(t, "ordinal")
			value := rapid.SampledFrom([]string{`null`, `"another"`}).Draw(t, "value")
			m = move[ordinalSpec]{words: fmt.Sprintf("label of pod %d %s", n, value), world: func(r *rivals[ordinalSpec]) { relabel(r, n, value) }}
		case "claim":
			n := rapid.IntRange(0, 4).Draw(t, "ordinal")
			m = move[ordinalSpec]{words: fmt.Sprintf("delete claim %d", n), world: func(r *rivals[ordinalSpec]) { deleteClaim(r, n) }}
		default:
			n := rapid.Int32Range(0, 5).Draw(t, "number")
			m = move[ordinalSpec]{words: fmt.Sprintf("%s %d", kind, n), change: func(s *ordinalSpec) {
				*map[string]*int32{"scale": &s.replicas, "partition": &s.partition, "start": &s.start}[kind] = n
			}}
		}
		m.turns = rapid.IntRange(0, 4).Draw(t, "turns")
		return m
	})
}

// relabel takes from the pods at an ordinal the label by which they are found, or gives them another.
func relabel(r *rivals[ordinalSpec], ordinal int, value string) {
	r.Helper()
	for _, owner := range []string{r.theirs.name, r.ours.name} {
		for _, pod := range r.podsOf(owner) {
			if pod.Name != fmt.Sprintf("%s-%d", owner, ordinal) {
				continue
			}
			patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%s}}}`, appsv1.StatefulSetPodNameLabel, value)
			if err := r.API.Patch(r.Context(), &pod, client.RawPatch(types.MergePatchType, []byte(patch))); client.IgnoreNotFound(err) != nil {
				r.Fatal(err)
			}
		}
	}
}

// deleteClaim deletes the claims of an ordinal.
func deleteClaim(r *rivals[ordinalSpec], ordinal int) {
	r.Helper()
	for _, owner := range []string{r.theirs.name, r.ours.name} {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: fmt.Sprintf("data-%s-%d", owner, ordinal)}}
		if err := r.API.Delete(r.Context(), claim); client.IgnoreNotFound(err) != nil {
			r.Fatal(err)
		}
	}
}

// TestBothMakeTheClaimsOfPodsThatHaveNotBegunToRunAgain deletes claims before anybody schedules the pods.
func TestBothMakeTheClaimsOfPodsThatHaveNotBegunToRunAgain(t *testing.T) {
	server.RunControllers(t, "statefulset-controller", "garbage-collector-controller")
	w := meetOrdinals(t, ordinalSpec{
		replicas: 2, image: "a:1", env: "1", track: "stable", policy: appsv1.ParallelPodManagement, claims: true,
		keep: appsv1.RetainPersistentVolumeClaimRetentionPolicyType, outlive: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
	})
	await := func(what string, is func(*corev1.PersistentVolumeClaimList) bool) {
		t.Helper()
		err := wait.PollUntilContextTimeout(w.Context(), 50*time.Millisecond, giveUp, true, func(ctx context.Context) (bool, error) {
			w.DropClaims()
			w.nudge() // the native one is not woken by a claim that goes
			if err := w.Reconcile(w.oursReconcile); err != nil {
				return false, err
			}
			claims := &corev1.PersistentVolumeClaimList{}
			err := w.API.List(ctx, claims, client.InNamespace(w.Namespace))
			return is(claims) && len(w.Pods()) == 4, err
		})
		if err != nil {
			t.Fatalf("waiting until %s: %v", what, err)
		}
	}
	await("both have made all claims", func(l *corev1.PersistentVolumeClaimList) bool { return len(l.Items) == 4 })
	old := map[types.UID]bool{}
	for _, owner := range []string{native, ours} {
		claim := &corev1.PersistentVolumeClaim{}
		w.Get("data-"+owner+"-1", claim)
		old[claim.UID] = true
	}
	deleteClaim(w, 1)
	await("both have made them again", func(l *corev1.PersistentVolumeClaimList) bool {
		return len(l.Items) == 4 && !slices.ContainsFunc(l.Items, func(c corev1.PersistentVolumeClaim) bool { return old[c.UID] })
	})
	w.play([]move[ordinalSpec]{{words: "run", all: true}})
}

// template is the pod template of a StatefulSet of this name.
func (s ordinalSpec) template(name string) corev1.PodTemplateSpec {
	t := look{image: s.image, env: s.env, track: s.track}.template()
	t.Labels["app"] = name
	return t
}

// old says whether an ordinal may stay on an older revision.
func (s ordinalSpec) old(ordinal int32) bool { return s.onDelete || ordinal-s.start < s.partition }

func (s ordinalSpec) claimTemplates() []corev1.PersistentVolumeClaim {
	if !s.claims {
		return nil
	}
	claim := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}}
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	return []corev1.PersistentVolumeClaim{claim}
}

func nativeStatefulSet(w *stepped.World) side[ordinalSpec] {
	return side[ordinalSpec]{
		name:  native,
		empty: func() client.Object { return &appsv1.StatefulSet{} },
		into: func(s ordinalSpec, object client.Object) {
			set := object.(*appsv1.StatefulSet)
			set.Spec.Replicas, set.Spec.Template, set.Spec.VolumeClaimTemplates = &s.replicas, s.template(native), s.claimTemplates()
			set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": native}}
			set.Spec.ServiceName, set.Spec.PodManagementPolicy, set.Spec.Ordinals = "service", s.policy, &appsv1.StatefulSetOrdinals{Start: s.start}
			set.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenScaled: s.keep, WhenDeleted: s.outlive,
			}
			set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
			if !s.onDelete {
				set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{
					Type:          appsv1.RollingUpdateStatefulSetStrategyType,
					RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: &s.partition},
				}
			}
		},
		observed: func(object client.Object) int64 { return object.(*appsv1.StatefulSet).Status.ObservedGeneration },
		end: func(object client.Object, pods []corev1.Pod, s ordinalSpec) (any, bool) {
			st := object.(*appsv1.StatefulSet).Status
			return ordinalEnd(w, object, pods, s, ordinalOutcome{
				Replicas: st.Replicas, Ready: st.ReadyReplicas, Available: st.AvailableReplicas, Current: st.CurrentReplicas,
				Updated: st.UpdatedReplicas, OneRevision: st.CurrentRevision == st.UpdateRevision,
			})
		},
	}
}

func ourStatefulSet(w *stepped.World) side[ordinalSpec] {
	return side[ordinalSpec]{
		name:  ours,
		empty: func() client.Object { return &v1beta1.StatefulSet{} },
		into: func(s ordinalSpec, object client.Object) {
			set := object.(*v1beta1.StatefulSet)
			set.Spec.Replicas, set.Spec.Template, set.Spec.VolumeClaimTemplates = &s.replicas, s.template(ours), s.claimTemplates()
			set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": ours}}
			set.Spec.ServiceName, set.Spec.PodManagementPolicy, set.Spec.Ordinals = "service", s.policy, &v1beta1.StatefulSetOrdinals{Start: s.start}
			set.Spec.PersistentVolumeClaimRetentionPolicy = &v1beta1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenScaled: s.keep, WhenDeleted: s.outlive,
			}
			set.Spec.UpdateStrategy = v1beta1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
			if !s.onDelete {
				set.Spec.UpdateStrategy = v1beta1.StatefulSetUpdateStrategy{
					Type:          appsv1.RollingUpdateStatefulSetStrategyType,
					RollingUpdate: &v1beta1.RollingUpdateStatefulSetStrategy{Partition: ptr.To(s.partition)},
				}
			}
		},
		observed: func(object client.Object) int64 { return object.(*v1beta1.StatefulSet).Status.ObservedGeneration },
		end: func(object client.Object, pods []corev1.Pod, s ordinalSpec) (any, bool) {
			st := object.(*v1beta1.StatefulSet).Status
			return ordinalEnd(w, object, pods, s, ordinalOutcome{
				Replicas: st.Replicas, Ready: st.ReadyReplicas, Available: st.AvailableReplicas, Current: st.CurrentReplicas,
				Updated: st.UpdatedReplicas, OneRevision: st.CurrentRevision == st.UpdateRevision,
			})
		},
	}
}

// ordinalOutcome is what users see of a StatefulSet.
type ordinalOutcome struct {
	// Pods are the labels and specs of the pods by name, without what each controller adds for itself.
	Pods map[string]podView
	// Claims are the names of the claims and those with whom they go, in order.
	Claims []string
	// Replicas and those below are the counts of the status; OneRevision says whether the set has but one revision.
	Replicas, Ready, Available, Current, Updated int32
	OneRevision                                  bool
	// Wanted, Have and Selector are what an autoscaler reads.
	Wanted, Have int32
	Selector     string
}

// ordinalEnd adds to an outcome what is not in the status, and says whether it is the end.
func ordinalEnd(w *stepped.World, set client.Object, pods []corev1.Pod, s ordinalSpec, o ordinalOutcome) (any, bool) {
	w.Helper()
	if s.onDelete { // the native kind never takes the newest revision for the current one then
		o.Current, o.OneRevision = 0, false
	}
	name := set.GetName()
	complete := len(pods) == int(s.replicas) && o.Replicas == s.replicas && o.Ready == s.replicas && o.Available == s.replicas
	o.Pods = map[string]podView{}
	for i, view := range views(pods) {
		o.Pods[pods[i].Name] = view
		var ordinal int32
		if _, err := fmt.Sscanf(pods[i].Name, name+"-%d", &ordinal); err != nil {
			w.Errorf("the name of pod %s: %v", pods[i].Name, err)
		}
		complete = complete && pods[i].Labels[appsv1.StatefulSetPodNameLabel] == pods[i].Name &&
			pods[i].DeletionTimestamp == nil && (s.old(ordinal) || asTold(&pods[i], s.template(name)))
	}
	claims := &corev1.PersistentVolumeClaimList{}
	if err := w.API.List(w.Context(), claims, client.InNamespace(w.Namespace)); err != nil {
		w.Fatal(err)
	}
	for _, claim := range claims.Items {
		if strings.HasPrefix(claim.Name, "data-"+name+"-") {
			words := claim.Name
			for _, ref := range claim.OwnerReferences {
				words += fmt.Sprintf(", with %s %s", ref.Kind, ref.Name)
			}
			o.Claims = append(o.Claims, words)
		}
	}
	slices.Sort(o.Claims)
	scale := &autoscalingv1.Scale{}
	if err := w.API.SubResource("scale").Get(w.Context(), set, scale); err != nil {
		w.Fatalf("scale of the %T: %v", set, err)
	}
	o.Wanted, o.Have, o.Selector = scale.Spec.Replicas, scale.Status.Replicas, scale.Status.Selector
	return o, complete
}
