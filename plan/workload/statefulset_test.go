package workload

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

// web is a StatefulSet with claims.
func web(change ...func(*v1beta1.StatefulSet)) *v1beta1.StatefulSet {
	set := &v1beta1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "set"}}
	set.Spec.Replicas, set.Spec.ServiceName = new(int32(2)), "web-headless"
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	set.Spec.Template.Labels = map[string]string{"app": "web"}
	set.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "tmp"}, {Name: "data"}}
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claimNamed("data", "1Gi")}
	for _, change := range change {
		change(set)
	}
	return set
}

func claimNamed(name, size string, owners ...metav1.OwnerReference) corev1.PersistentVolumeClaim {
	c := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners}}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	return c
}

// podOf is a pod of a set.
func podOf(name string, labels map[string]string, controllers ...metav1.Object) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "uid-" + "pod", Labels: labels}}
	for _, c := range controllers {
		pod.OwnerReferences = append(pod.OwnerReferences, *metav1.NewControllerRef(c, statefulSetKind))
	}
	return pod
}

// finds looks claims up by their names.
func finds(claims ...corev1.PersistentVolumeClaim) func(string) *corev1.PersistentVolumeClaim {
	return func(name string) *corev1.PersistentVolumeClaim {
		for i := range claims {
			if claims[i].Name == name {
				return &claims[i]
			}
		}
		return nil
	}
}

func viewOf(t *testing.T, set *v1beta1.StatefulSet, owned Owned, options Options) *StatefulSet {
	t.Helper()
	s, err := NewStatefulSet(set, owned, options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAPodHasTheIdentityOfItsOrdinal(t *testing.T) {
	s := viewOf(t, web(), Owned{Claim: finds(claimNamed("data-web-0", "1Gi"))}, Options{PodIndexLabel: true})
	pod, claims, err := s.NewPod(podset.Step{Do: podset.Create, Slot: "1", To: s.Update})
	if err != nil {
		t.Fatal(err)
	}
	if pod.Name != "web-1" || pod.Namespace != "shop" || pod.Spec.Hostname != "web-1" || pod.Spec.Subdomain != "web-headless" {
		t.Errorf("pod %s/%s, host %s.%s", pod.Namespace, pod.Name, pod.Spec.Hostname, pod.Spec.Subdomain)
	}
	for label, want := range map[string]string{
		"statefulset.kubernetes.io/pod-name": "web-1", "apps.kubernetes.io/pod-index": "1", "controller-revision-hash": s.Update, "app": "web",
	} {
		if got := pod.Labels[label]; got != want {
			t.Errorf("label %s: %q, want %q", label, got, want)
		}
	}
	if !metav1.IsControlledBy(pod, s.Set) {
		t.Error("the pod has another controller")
	}
	if len(claims) != 1 || claims[0].Name != "data-web-1" || claims[0].Namespace != "shop" || claims[0].Labels["app"] != "web" || len(claims[0].OwnerReferences) > 0 {
		t.Errorf("claims %+v", claims)
	}
	if len(pod.Spec.Volumes) != 2 || pod.Spec.Volumes[1].PersistentVolumeClaim.ClaimName != "data-web-1" {
		t.Errorf("volumes %+v: that of the claim takes the place of the template's", pod.Spec.Volumes)
	}
	if _, again, _ := s.NewPod(podset.Step{Do: podset.Create, Slot: "0", To: s.Update}); len(again) > 0 {
		t.Errorf("claims %+v are made, and are there", again)
	}
	plain := viewOf(t, web(), Owned{}, Options{})
	if pod, _, _ := plain.NewPod(podset.Step{Do: podset.Create, Slot: "1", To: plain.Update}); pod.Labels["apps.kubernetes.io/pod-index"] != "" {
		t.Error("the index is written without the gate for it")
	}
}

func TestWhichPodsAreASetsOwn(t *testing.T) {
	set, mine, others := web(), map[string]string{"app": "web"}, map[string]string{"app": "debug"}
	s := viewOf(t, set, Owned{
		Pods:    []*corev1.Pod{podOf("web-0", mine, set), podOf("web-01", mine, set), podOf("web-a", mine, set), podOf("web-7", others, set)},
		Unowned: []*corev1.Pod{podOf("web-1", mine), podOf("web-2", others), podOf("web--3", mine), podOf("other-1", mine)},
	}, Options{})
	names := func(pods []*corev1.Pod) (out []string) {
		for _, pod := range pods {
			out = append(out, pod.Name)
		}
		return out
	}
	for what, test := range map[string]struct{ got, want []string }{
		"its pods":   {names(s.Pods), []string{"web-0"}},
		"strays":     {names(s.Strays), []string{"web-7"}},
		"to adopt":   {names(s.OrphanPods), []string{"web-1"}},
		"as decided": {slotsOf(s), []string{"0"}},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func slotsOf(s *StatefulSet) (out []string) {
	for _, r := range s.Replicas(time.Time{}) {
		out = append(out, r.Slot)
	}
	return out
}

func TestNoPodIsCreatedUnderANameThatIsTakenOrForAClaimOnItsWayOut(t *testing.T) {
	gone := claimNamed("data-web-1", "1Gi", metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: "web-1", UID: "gone"})
	for want, owned := range map[string]Owned{
		"pod web-1 exists and is not the set's own":           {PodExists: func(name string) bool { return name == "web-1" }},
		"claim data-web-1 goes with Pod web-1, which is gone": {Claim: finds(gone)},
		"claim data-web-1 goes with StatefulSet web, which is gone": {Claim: finds(claimNamed("data-web-1", "1Gi",
			metav1.OwnerReference{APIVersion: "apps.kruise.io/v1beta1", Kind: "StatefulSet", Name: "web", UID: "the one before"}))},
		"": {PodExists: func(string) bool { return false }, Claim: finds(claimNamed("data-web-1", "1Gi",
			metav1.OwnerReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web", UID: "a native one"}))},
	} {
		s := viewOf(t, web(), owned, Options{})
		if got := s.blocked(1); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestClaimsGetTheOwnersThatThePolicyWants(t *testing.T) {
	drop := appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	set := web(func(set *v1beta1.StatefulSet) {
		set.Spec.Replicas = new(int32(1))
		set.Spec.PersistentVolumeClaimRetentionPolicy = &v1beta1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenDeleted: drop, WhenScaled: drop}
	})
	labels := map[string]string{"app": "web"}
	stays, goes := podOf("web-0", labels, set), podOf("web-1", labels, set)
	stays.UID, goes.UID = "stays", "goes"
	owned := Owned{Pods: []*corev1.Pod{stays, goes}, Claim: finds(claimNamed("data-web-0", "1Gi"), claimNamed("data-web-1", "1Gi"))}
	s := viewOf(t, set, owned, Options{AutoDeleteClaims: true})
	sequence, err := s.Sequence()
	if err != nil {
		t.Fatal(err)
	}
	patches, err := s.Retention(sequence)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range patches {
		got = append(got, p.Claim.Name+" "+string(p.Body))
	}
	want := []string{
		`data-web-0 {"metadata":{"ownerReferences":[{"apiVersion":"apps.kruise.io/v1beta1","kind":"StatefulSet","name":"web","uid":"set"}],"uid":""}}`,
		`data-web-1 {"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"web-1","uid":"goes"}],"uid":""}}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	off := viewOf(t, set, owned, Options{})
	if patches, err := off.Retention(sequence); len(patches) > 0 || err != nil {
		t.Errorf("without the gate: %v, %v", patches, err)
	}
}

func TestClaimsGrowWhereTheyAreAskedTo(t *testing.T) {
	larger := func(set *v1beta1.StatefulSet) {
		set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claimNamed("data", "2Gi"), claimNamed("logs", "1Gi")}
		set.Spec.VolumeClaimUpdateStrategy.Type = v1beta1.OnPodRollingUpdateVolumeClaimUpdateStrategyType
	}
	owned := Owned{Claim: finds(claimNamed("data-web-0", "1Gi"), claimNamed("logs-web-0", "1Gi"))}
	s := viewOf(t, web(larger), owned, Options{ResizeClaims: true})
	sequence, err := s.Sequence()
	if err != nil {
		t.Fatal(err)
	}
	if state := sequence.Claims(0); state.Claim != "data-web-0" {
		t.Errorf("the claim farthest behind: %+v", state)
	}
	patches, err := s.Growth(podset.Step{Do: podset.Expand, Pod: &replica.Replica{Name: "web-0", Slot: "0"}})
	if err != nil || len(patches) != 1 || patches[0].Claim.Name != "data-web-0" {
		t.Errorf("patches %+v, %v", patches, err)
	}
	want := []v1beta1.VolumeClaimStatus{{VolumeClaimName: "data"}, {VolumeClaimName: "logs", CompatibleReplicas: 1}}
	if diff := cmp.Diff(want, s.VolumeClaims(sequence)); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	onDelete := func(set *v1beta1.StatefulSet) { set.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType }
	for name, s := range map[string]*StatefulSet{
		"without the gate":    viewOf(t, web(larger), owned, Options{}),
		"on delete":           viewOf(t, web(larger, onDelete), owned, Options{ResizeClaims: true}),
		"for new claims":      viewOf(t, web(), owned, Options{ResizeClaims: true}),
		"where there is none": viewOf(t, web(larger, func(set *v1beta1.StatefulSet) { set.Spec.VolumeClaimTemplates = nil }), owned, Options{ResizeClaims: true}),
	} {
		if sequence, err := s.Sequence(); err != nil || sequence.Claims != nil {
			t.Errorf("%s: claims are to grow, %v", name, err)
		}
	}
}

func TestACompleteRolloutBecomesTheCurrentOne(t *testing.T) {
	s := &StatefulSet{Revisions: &Revisions{Update: "web-2", Current: "web-1"}}
	for name, test := range map[string]struct {
		tally podset.Tally
		want  v1beta1.StatefulSetStatus
	}{
		"complete": {podset.Tally{Replicas: 2, Ready: 2, Updated: 2, UpdatedReady: 2},
			v1beta1.StatefulSetStatus{Replicas: 2, ReadyReplicas: 2, CurrentReplicas: 2, UpdatedReplicas: 2, UpdatedReadyReplicas: 2, CurrentRevision: "web-2", UpdateRevision: "web-2"}},
		"not ready": {podset.Tally{Replicas: 2, Ready: 1, Updated: 2, UpdatedReady: 1},
			v1beta1.StatefulSetStatus{Replicas: 2, ReadyReplicas: 1, UpdatedReplicas: 2, UpdatedReadyReplicas: 1, CurrentRevision: "web-1", UpdateRevision: "web-2"}},
		"halfway": {podset.Tally{Replicas: 2, Ready: 2, Updated: 1, UpdatedReady: 1, Current: 1},
			v1beta1.StatefulSetStatus{Replicas: 2, ReadyReplicas: 2, CurrentReplicas: 1, UpdatedReplicas: 1, UpdatedReadyReplicas: 1, CurrentRevision: "web-1", UpdateRevision: "web-2"}},
		"with one that ends": {podset.Tally{Replicas: 2, Ready: 2, Updated: 2, UpdatedReady: 2, Ending: 1},
			v1beta1.StatefulSetStatus{Replicas: 3, ReadyReplicas: 2, UpdatedReplicas: 2, UpdatedReadyReplicas: 2, CurrentRevision: "web-1", UpdateRevision: "web-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got v1beta1.StatefulSetStatus
			s.Count(&got, test.tally, 2)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPodCountsAfterWhatTheRollingUpdateSaysOrElseTheNativeField(t *testing.T) {
	rolling := func(seconds *int32) *v1beta1.RollingUpdateStatefulSetStrategy {
		return &v1beta1.RollingUpdateStatefulSetStrategy{MinReadySeconds: seconds}
	}
	for name, tc := range map[string]struct {
		native  int32
		rolling *v1beta1.RollingUpdateStatefulSetStrategy
		want    int32
	}{
		"neither":                        {0, rolling(nil), 0},
		"the native field":               {600, rolling(nil), 600},
		"the native field with OnDelete": {600, nil, 600},
		"the native field and a default": {600, rolling(new(int32(0))), 600},
		"the rolling update":             {0, rolling(new(int32(5))), 5},
		"both, of which this one counts": {600, rolling(new(int32(5))), 5},
	} {
		spec := &v1beta1.StatefulSetSpec{MinReadySeconds: tc.native, UpdateStrategy: v1beta1.StatefulSetUpdateStrategy{RollingUpdate: tc.rolling}}
		if got := MinReadySeconds(spec); got != tc.want {
			t.Errorf("%s: %d seconds, want %d", name, got, tc.want)
		}
	}
}

// TestWhatAPodHasLostOfItsOrdinalIsFoundAndMadeAgain goes through pods of web-1.
func TestWhatAPodHasLostOfItsOrdinalIsFoundAndMadeAgain(t *testing.T) {
	const nameLabel, indexLabel = appsv1.StatefulSetPodNameLabel, appsv1.PodIndexLabel
	for name, tc := range map[string]struct {
		change func(*corev1.Pod)
		claims []corev1.PersistentVolumeClaim
		gate   bool
		patch  string
		makes  string
	}{
		"nothing": {func(*corev1.Pod) {}, []corev1.PersistentVolumeClaim{claimNamed("data-web-1", "1Gi")}, true, "", ""},
		"its name": {func(p *corev1.Pod) { delete(p.Labels, nameLabel) }, nil, true,
			`{"metadata":{"labels":{"statefulset.kubernetes.io/pod-name":"web-1"},"uid":"uid-pod"}}`, ""},
		"its name and its index": {func(p *corev1.Pod) { p.Labels = map[string]string{"app": "web", nameLabel: "web-0"} }, nil, true,
			`{"metadata":{"labels":{"apps.kubernetes.io/pod-index":"1","statefulset.kubernetes.io/pod-name":"web-1"},"uid":"uid-pod"}}`, ""},
		"its index, which is another's": {func(p *corev1.Pod) { p.Labels[indexLabel] = "7" }, nil, true,
			`{"metadata":{"labels":{"apps.kubernetes.io/pod-index":"1"},"uid":"uid-pod"}}`, ""},
		"its index, without the gate for it":       {func(p *corev1.Pod) { p.Labels[indexLabel] = "7" }, nil, false, "", ""},
		"an index that it perhaps never had":       {func(p *corev1.Pod) { delete(p.Labels, indexLabel) }, nil, true, "", ""},
		"a claim, before it runs":                  {func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }, nil, true, "", "data-web-1"},
		"a claim that it does not mount":           {func(p *corev1.Pod) { p.Status.Phase, p.Spec.Volumes = corev1.PodPending, nil }, nil, true, "", ""},
		"a claim that it has, while it runs":       {func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }, nil, true, "", ""},
		"nothing, and waits for a node as it does": {func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }, []corev1.PersistentVolumeClaim{claimNamed("data-web-1", "1Gi")}, true, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			set := web()
			pod := podOf("web-1", map[string]string{"app": "web", nameLabel: "web-1", indexLabel: "1"}, set)
			Mount(&pod.Spec, "data", "data-web-1")
			tc.change(pod)
			s := viewOf(t, set, Owned{Pods: []*corev1.Pod{pod}, Claim: finds(tc.claims...)}, Options{PodIndexLabel: tc.gate})
			r := s.Replicas(time.Unix(0, 0))[0]
			if lost := tc.patch != "" || tc.makes != ""; (r.Lost != replica.LostNothing) != lost {
				t.Errorf("what it has lost: %v", r.Lost)
			}
			if r.Lost == replica.LostNothing {
				return
			}
			body, claims, err := s.Restoration(podset.Step{Do: podset.Restore, Pod: &r}, pod)
			made := ""
			for _, claim := range claims {
				made += claim.Name
			}
			if string(body) != tc.patch || made != tc.makes || err != nil {
				t.Errorf("it is patched with %s, and the claims %q are made, %v", body, made, err)
			}
		})
	}
}
