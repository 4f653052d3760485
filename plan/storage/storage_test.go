package storage_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/storage"
)

func sized(size string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
}

// claim is one that asks for a size, and has another; empty for none.
func claim(asks, has string, change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data-web-0", UID: "claim"}}
	c.Spec.Resources.Requests = sized(asks)
	if has != "" {
		c.Status.Phase, c.Status.Capacity = corev1.ClaimBound, sized(has)
	}
	for _, change := range change {
		change(c)
	}
	return c
}

func condition(kind corev1.PersistentVolumeClaimConditionType) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) {
		c.Status.Conditions = append(c.Status.Conditions, corev1.PersistentVolumeClaimCondition{Type: kind, Status: corev1.ConditionTrue})
	}
}

func TestAClaimIsComparedWithTheSizeOfItsTemplate(t *testing.T) {
	for name, test := range map[string]struct {
		claim *corev1.PersistentVolumeClaim
		stage storage.Stage
		why   string
	}{
		"as large":                    {claim("2Gi", "2Gi"), storage.Fits, ""},
		"larger":                      {claim("3Gi", "3Gi"), storage.Fits, ""},
		"as large in another unit":    {claim("2048Mi", "2048Mi"), storage.Fits, ""},
		"smaller":                     {claim("1Gi", "1Gi"), storage.Small, "asks for 1Gi, and its template for 2Gi"},
		"smaller, with a larger disk": {claim("1Gi", "5Gi"), storage.Small, "asks for 1Gi, and its template for 2Gi"},
		"without a volume yet":        {claim("2Gi", ""), storage.Fits, ""},
		"growing":                     {claim("2Gi", "1Gi"), storage.Growing, "has 1Gi of 2Gi"},
		"growing, in vain":            {claim("2Gi", "1Gi", condition(corev1.PersistentVolumeClaimControllerResizeError)), storage.Growing, "ControllerResizeError"},
		"growing, where that cannot be": {claim("2Gi", "1Gi", func(c *corev1.PersistentVolumeClaim) {
			c.Status.AllocatedResourceStatuses = map[corev1.ResourceName]corev1.ClaimResourceStatus{corev1.ResourceStorage: corev1.PersistentVolumeClaimNodeResizeInfeasible}
		}), storage.Growing, "NodeResizeInfeasible"},
		"to be mounted anew": {claim("2Gi", "1Gi", condition(corev1.PersistentVolumeClaimFileSystemResizePending)), storage.AtRestart, "grows to its end when it is mounted anew"},
	} {
		t.Run(name, func(t *testing.T) {
			want := storage.State{Stage: test.stage, Claim: "data-web-0", Why: test.why}
			if diff := cmp.Diff(want, storage.StateOf(test.claim, claim("2Gi", ""))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAClaimIsCompatibleWithWhatItsTemplateSays(t *testing.T) {
	class := func(name string) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = &name }
	}
	mode := func(m corev1.PersistentVolumeMode) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = &m }
	}
	access := func(m corev1.PersistentVolumeAccessMode) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) {
			c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{m}
		}
	}
	plain := func(*corev1.PersistentVolumeClaim) {}
	for name, test := range map[string]struct {
		size            string
		claim, template func(*corev1.PersistentVolumeClaim)
		want            bool
	}{
		"the same":                        {"2Gi", plain, plain, true},
		"larger":                          {"3Gi", plain, plain, true},
		"smaller":                         {"1Gi", plain, plain, false},
		"a class that was filled in":      {"2Gi", class("fast"), plain, true},
		"another class":                   {"2Gi", class("slow"), class("fast"), false},
		"a mode that was filled in":       {"2Gi", mode(corev1.PersistentVolumeFilesystem), plain, true},
		"another mode":                    {"2Gi", mode(corev1.PersistentVolumeBlock), plain, false},
		"other access":                    {"2Gi", access(corev1.ReadWriteMany), access(corev1.ReadWriteOnce), false},
		"access that the template leaves": {"2Gi", access(corev1.ReadWriteMany), plain, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := storage.Compatible(claim(test.size, "", test.claim), claim("2Gi", "", test.template)); got != test.want {
				t.Errorf("compatible: %v", got)
			}
		})
	}
	if storage.Ready(claim("2Gi", "1Gi"), claim("2Gi", "")) || !storage.Ready(claim("2Gi", "2Gi"), claim("2Gi", "")) {
		t.Error("a claim is ready once it has what its template asks for")
	}
}

func TestAClaimIsWhatItsTemplateWouldMakeNow(t *testing.T) {
	labels := func(pairs map[string]string) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) { c.Labels = pairs }
	}
	annotations := func(pairs map[string]string) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) { c.Annotations = pairs }
	}
	snapshot := func(name string) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "VolumeSnapshot", Name: name}
		}
	}
	copied := func(name string) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: "PersistentVolumeClaim", Name: name}
		}
	}
	plain := func(*corev1.PersistentVolumeClaim) {}
	for name, test := range map[string]struct {
		size            string
		claim, template func(*corev1.PersistentVolumeClaim)
		want            bool
	}{
		"the same":                          {"2Gi", plain, plain, true},
		"larger":                            {"3Gi", plain, plain, true},
		"smaller":                           {"1Gi", plain, plain, false},
		"labels and more":                   {"2Gi", labels(map[string]string{"tier": "fast", "id": "a"}), labels(map[string]string{"tier": "fast"}), true},
		"another label":                     {"2Gi", labels(map[string]string{"tier": "slow"}), labels(map[string]string{"tier": "fast"}), false},
		"no label":                          {"2Gi", plain, labels(map[string]string{"tier": ""}), false},
		"annotations of the cluster":        {"2Gi", annotations(map[string]string{"bound": "yes"}), plain, true},
		"another annotation":                {"2Gi", annotations(map[string]string{"note": "a"}), annotations(map[string]string{"note": "b"}), false},
		"from the same snapshot":            {"2Gi", snapshot("a"), snapshot("a"), true},
		"from another snapshot":             {"2Gi", snapshot("a"), snapshot("b"), false},
		"from a snapshot that is no longer": {"2Gi", snapshot("a"), plain, true},
		"from another claim":                {"2Gi", copied("a"), copied("b"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := storage.Matches(claim(test.size, "", test.claim), claim("2Gi", "", test.template)); got != test.want {
				t.Errorf("matches: %v", got)
			}
		})
	}
}

// patched is a claim after a strategic merge patch.
func patched(t *testing.T, before *corev1.PersistentVolumeClaim, patch []byte) *corev1.PersistentVolumeClaim {
	t.Helper()
	text, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = strategicpatch.StrategicMergePatch(text, patch, before); err != nil {
		t.Fatal(err)
	}
	after := &corev1.PersistentVolumeClaim{}
	if err := json.Unmarshal(text, after); err != nil {
		t.Fatal(err)
	}
	return after
}

func TestAClaimGrowsToTheSizeOfItsTemplateAndNothingElseOfItChanges(t *testing.T) {
	before := claim("1Gi", "1Gi", func(c *corev1.PersistentVolumeClaim) { c.Annotations = map[string]string{"note": "kept"} })
	patch, err := storage.Expansion(before, claim("2Gi", ""), "web")
	if err != nil {
		t.Fatal(err)
	}
	want := before.DeepCopy()
	want.Spec.Resources.Requests = sized("2Gi")
	want.Annotations[v1beta1.ClaimOwnedByStatefulSetKey] = "web"
	if diff := cmp.Diff(want, patched(t, before, patch)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestThePolicySaysWithWhomAClaimGoes(t *testing.T) {
	keep, drop := appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	for _, test := range []struct {
		deleted, scaled appsv1.PersistentVolumeClaimRetentionPolicyType
		stays, goes     storage.Owner
	}{
		{keep, keep, storage.Nobody, storage.Nobody},
		{"", "", storage.Nobody, storage.Nobody},
		{drop, keep, storage.TheSet, storage.TheSet},
		{keep, drop, storage.Nobody, storage.ThePod},
		{drop, drop, storage.TheSet, storage.ThePod},
	} {
		policy := &v1beta1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenDeleted: test.deleted, WhenScaled: test.scaled}
		if stays, goes := storage.OwnerOf(policy, false), storage.OwnerOf(policy, true); stays != test.stays || goes != test.goes {
			t.Errorf("%+v: %d, and %d when it is scaled in", policy, stays, goes)
		}
	}
	if storage.OwnerOf(nil, true) != storage.Nobody {
		t.Error("without a policy a claim goes")
	}
}

func TestAClaimGetsTheOwnerWithWhichItGoes(t *testing.T) {
	set, pod := metav1.OwnerReference{UID: "set", Kind: "StatefulSet"}, metav1.OwnerReference{UID: "pod", Kind: "Pod"}
	backup, other := metav1.OwnerReference{UID: "backup"}, metav1.OwnerReference{UID: "other", Controller: new(true)}
	ours := func(ref metav1.OwnerReference) bool { return ref.UID == "set" || ref.Kind == "Pod" }
	for name, test := range map[string]struct {
		has    []metav1.OwnerReference
		wanted *metav1.OwnerReference
		want   []types.UID
	}{
		"the set":                         {nil, &set, []types.UID{"set"}},
		"the pod in place of the set":     {[]metav1.OwnerReference{set}, &pod, []types.UID{"pod"}},
		"nobody any more":                 {[]metav1.OwnerReference{set, pod}, nil, nil},
		"nothing to do":                   {[]metav1.OwnerReference{set}, &set, []types.UID{"set"}},
		"others are left":                 {[]metav1.OwnerReference{backup, set}, &pod, []types.UID{"pod", "backup"}},
		"a claim of another controller's": {[]metav1.OwnerReference{other}, &set, []types.UID{"other"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := claim("1Gi", "", func(c *corev1.PersistentVolumeClaim) { c.OwnerReferences = test.has })
			patch, err := storage.OwnerPatch(before, test.wanted, ours)
			if err != nil {
				t.Fatal(err)
			}
			after := before
			if patch != nil {
				after = patched(t, before, patch)
			}
			var got []types.UID
			for _, ref := range after.OwnerReferences {
				got = append(got, ref.UID)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("owners (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAClaimThatIsOnItsWayOutIsForNoPod(t *testing.T) {
	owned := func(uid types.UID) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) {
			c.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "web-0", UID: uid}}
		}
	}
	gone := func(ref metav1.OwnerReference) bool { return ref.UID != "alive" }
	for want, c := range map[string]*corev1.PersistentVolumeClaim{
		"": claim("1Gi", ""),
		"claim data-web-0 is being deleted": claim("1Gi", "", func(c *corev1.PersistentVolumeClaim) {
			c.DeletionTimestamp = new(metav1.Now())
		}),
		"claim data-web-0 goes with Pod web-0, which is gone": claim("1Gi", "", owned("dead")),
	} {
		if got := storage.Stale(c, gone); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := storage.Stale(claim("1Gi", "", owned("alive")), gone); got != "" {
		t.Errorf("of a pod that lives: %q", got)
	}
}
