package persistentpodstate

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	target   = "targetRef: {apiVersion: apps/v1, kind: StatefulSet, name: web}"
	required = "requiredPersistentTopology: {KEYS: [kubernetes.io/hostname]}"
)

// object is a PersistentPodState of a version, in which topologies have their keys under another name than in the other one.
func object(t *testing.T, namespace, version, spec string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	text := strings.ReplaceAll("{apiVersion: apps.kruise.io/"+version+", kind: PersistentPodState, metadata: {name: demo}, spec: {"+spec+"}}", "KEYS", keys()[version])
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatalf("not YAML: %v\n%s", err, text)
	}
	o.SetNamespace(namespace)
	return o
}

func keys() map[string]string {
	return map[string]string{"v1alpha1": "nodeTopologyKeys", "v1beta1": "keys"}
}

func prefers(term string) string { return target + ", preferredPersistentTopology: [" + term + "]" }

// unchecked is what the API server says where a schema that does not hold keeps it from looking at the rules.
const unchecked = `, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`

func TestRefused(t *testing.T) {
	managed(t)
	namespace := server.Namespace(t)
	const key = `^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`
	other := func(value string) string {
		return `spec.targetRef: Invalid value: "` + value + `": must be a StatefulSet of apps/v1 or apps.kruise.io/v1beta1, or of a kind that the cluster's administrator lists: pods of other kinds do not come back under their names`
	}
	for name, tc := range map[string]struct{ spec, want string }{
		"no target":                      {required, `[spec.targetRef: Required value` + unchecked},
		"a target without a version":     {"targetRef: {kind: StatefulSet, name: web}, " + required, `[spec.targetRef.apiVersion: Required value` + unchecked},
		"a target without a kind":        {"targetRef: {apiVersion: apps/v1, kind: '', name: web}, " + required, `spec.targetRef.kind: Invalid value: "": spec.targetRef.kind in body should be at least 1 chars long`},
		"a target without a name":        {"targetRef: {apiVersion: apps/v1, kind: StatefulSet, name: ''}, " + required, `spec.targetRef.name: Invalid value: "": spec.targetRef.name in body should be at least 1 chars long`},
		"a Deployment":                   {"targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, " + required, other("apps/v1 Deployment")},
		"a CloneSet":                     {"targetRef: {apiVersion: apps.kruise.io/v1beta1, kind: CloneSet, name: web}, " + required, other("apps.kruise.io/v1beta1 CloneSet")},
		"a StatefulSet of another group": {"targetRef: {apiVersion: example.org/v1, kind: StatefulSet, name: web}, " + required, other("example.org/v1 StatefulSet")},
		"a version that is none":         {"targetRef: {apiVersion: a/b/c, kind: StatefulSet, name: web}, " + required, other("a/b/c StatefulSet")},
		"no topology":                    {target, `spec: Invalid value: requiredPersistentTopology or preferredPersistentTopology must be set: without either no pod is sent back anywhere`},
		"annotations alone":              {target + ", persistentPodAnnotations: [{key: a}]", `spec: Invalid value: requiredPersistentTopology or preferredPersistentTopology must be set: without either no pod is sent back anywhere`},
		"no preference":                  {target + ", preferredPersistentTopology: []", `spec: Invalid value: requiredPersistentTopology or preferredPersistentTopology must be set: without either no pod is sent back anywhere`},
		"a topology without keys":        {target + ", requiredPersistentTopology: {}", `[spec.requiredPersistentTopology.KEYS: Required value` + unchecked},
		"a topology of no key":           {target + ", requiredPersistentTopology: {KEYS: []}", `spec.requiredPersistentTopology.KEYS: Invalid value: 0: spec.requiredPersistentTopology.KEYS in body should have at least 1 items`},
		"a key that is none":             {target + ", requiredPersistentTopology: {KEYS: [a b]}", `spec.requiredPersistentTopology.KEYS[0]: Invalid value: "a b": spec.requiredPersistentTopology.KEYS[0] in body should match '` + key + `'`},
		"an empty key":                   {target + ", requiredPersistentTopology: {KEYS: ['']}", `spec.requiredPersistentTopology.KEYS[0]: Invalid value: "": spec.requiredPersistentTopology.KEYS[0] in body should match '` + key + `'`},
		"a preference without a weight":  {prefers("{preference: {KEYS: [zone]}}"), `[spec.preferredPersistentTopology[0].weight: Required value` + unchecked},
		"a negative weight":              {prefers("{weight: -1, preference: {KEYS: [zone]}}"), `spec.preferredPersistentTopology[0].weight: Invalid value: -1: spec.preferredPersistentTopology[0].weight in body should be greater than or equal to 0`},
		"a weight that no pod may have":  {prefers("{weight: 101, preference: {KEYS: [zone]}}"), `spec.preferredPersistentTopology[0].weight: Invalid value: 101: spec.preferredPersistentTopology[0].weight in body should be less than or equal to 100`},
		"a preference of nothing":        {prefers("{weight: 1}"), `[spec.preferredPersistentTopology[0].preference: Required value` + unchecked},
		"an annotation without a key":    {target + ", " + required + ", persistentPodAnnotations: [{}]", `[spec.persistentPodAnnotations[0].key: Required value` + unchecked},
		"an annotation that is none":     {target + ", " + required + ", persistentPodAnnotations: [{key: a/b/c}]", `spec.persistentPodAnnotations[0].key: Invalid value: "a/b/c": spec.persistentPodAnnotations[0].key in body should match '` + key + `'`},
		"a policy that does not exist":   {target + ", " + required + ", persistentPodStateRetentionPolicy: Never", `[spec.persistentPodStateRetentionPolicy: Unsupported value: "Never": supported values: POLICIES` + unchecked},
	} {
		for version, policies := range map[string]string{"v1alpha1": `"", "WhenScaled", "WhenDeleted"`, "v1beta1": `"WhenScaled", "WhenDeleted"`} {
			t.Run(name+" in "+version, func(t *testing.T) {
				err := server.Client.Create(t.Context(), object(t, namespace, version, tc.spec))
				if err == nil {
					t.Fatal("it was let in")
				}
				got := err.Error()
				for _, prefix := range []string{`admission webhook "vpersistentpodstate.kb.io" denied the request: `, `PersistentPodState.apps.kruise.io "demo" is invalid: `} {
					got = strings.TrimPrefix(got, prefix)
				}
				if want := strings.NewReplacer("KEYS", keys()[version], "POLICIES", policies).Replace(tc.want); got != want {
					t.Errorf("message\n%s\nwant\n%s", got, want)
				}
			})
		}
	}
}

func TestAWorkloadHasOneObject(t *testing.T) {
	managed(t)
	namespace := server.Namespace(t)
	first := object(t, namespace, "v1alpha1", target+", "+required)
	create(t, first)
	second := object(t, namespace, "v1beta1", target+", "+required)
	second.SetName("second")
	const want = `spec.targetRef: Forbidden: PersistentPodState demo is about StatefulSet web of apps already; change or delete that one`
	eventually(t, "a second one is refused", func() bool {
		err := server.Client.Create(t.Context(), second)
		if err == nil { // before the manager knows of the first
			remove(t, second)
			second.SetResourceVersion("")
			return false
		}
		return strings.HasSuffix(err.Error(), want)
	})
	advanced := object(t, namespace, "v1beta1", strings.Replace(target, "apps/v1", "apps.kruise.io/v1beta1", 1)+", "+required)
	advanced.SetName("advanced")
	create(t, advanced)
}

func TestTheTargetStaysAndTheRestMayChange(t *testing.T) {
	managed(t)
	o := object(t, server.Namespace(t), "v1beta1", target+", "+required)
	create(t, o)
	change(t, o.DeepCopy(), `{"spec":{"requiredPersistentTopology":{"keys":["zone"]},"persistentPodStateRetentionPolicy":"WhenDeleted"}}`)
	for _, version := range []string{"v1alpha1", "v1beta1"} {
		as := object(t, o.GetNamespace(), version, "")
		err := server.Client.Patch(t.Context(), as, mergePatch(`{"spec":{"targetRef":{"name":"other"}}}`))
		if err == nil || !strings.HasSuffix(err.Error(), `spec.targetRef: Invalid value: targetRef is immutable: what is remembered is of this workload; create another PersistentPodState instead`) {
			t.Errorf("as %s: %v", version, err)
		}
	}
}

func TestEachVersionShowsWhatTheOtherWrote(t *testing.T) {
	managed(t)
	for version, other := range map[string]string{"v1alpha1": "v1beta1", "v1beta1": "v1alpha1"} {
		t.Run(version, func(t *testing.T) {
			const spec = target + ", " + required + ", preferredPersistentTopology: [{weight: 7, preference: {KEYS: [zone, rack]}}], persistentPodAnnotations: [{key: ip}], persistentPodStateRetentionPolicy: WhenDeleted"
			namespace := server.Namespace(t)
			create(t, object(t, namespace, version, spec))
			got, want := object(t, namespace, other, ""), object(t, namespace, other, spec)
			if !read(t, got) {
				t.Fatal("it is gone")
			}
			if g, w := specOf(t, got), specOf(t, want); g != w {
				t.Errorf("written as %s, read as %s:\n%s\nwant\n%s", version, other, g, w)
			}
		})
	}
}
