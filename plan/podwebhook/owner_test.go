package podwebhook

import (
	"testing"

	"github.com/google/cel-go/cel"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"pgregory.net/rapid"
)

func TestAPodIsControlledByWhatItsReferenceNames(t *testing.T) {
	set := Owner{GroupKind: schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, Name: "web"}
	deployment := Owner{GroupKind: schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}, Name: "web-", Begins: true}
	core := Owner{GroupKind: schema.GroupKind{Kind: "ReplicationController"}, Name: "web"}
	ref := func(apiVersion, kind, name string) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "other"}, {APIVersion: apiVersion, Kind: kind, Name: name, Controller: new(true)}}
	}
	for name, c := range map[string]struct {
		owner Owner
		refs  []metav1.OwnerReference
		want  bool
	}{
		"its own":                    {set, ref("apps/v1", "StatefulSet", "web"), true},
		"in another version":         {set, ref("apps/v1beta2", "StatefulSet", "web"), true},
		"of another group":           {set, ref("apps.kruise.io/v1", "StatefulSet", "web"), false},
		"of another kind":            {set, ref("apps/v1", "ReplicaSet", "web"), false},
		"of another name":            {set, ref("apps/v1", "StatefulSet", "web-1"), false},
		"an owner that controls not": {set, []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web"}}, false},
		"nobody's":                   {set, nil, false},
		"a name that begins so":      {deployment, ref("apps/v1", "ReplicaSet", "web-5d"), true},
		"a name that does not":       {deployment, ref("apps/v1", "ReplicaSet", "web"), false},
		"of the group without name":  {core, ref("v1", "ReplicationController", "web"), true},
		"and not of one with a name": {core, ref("example.org/v1", "ReplicationController", "web"), false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: c.refs}}
			for _, of := range []string{"object", "oldObject"} {
				if got := evaluate(t, c.owner.Condition(of), map[string]any{of: asMap(t, pod)}); got != c.want {
					t.Errorf("%s: %v", of, got)
				}
			}
		})
	}
}

// evaluate evaluates an expression as the API server does.
func evaluate(t rapid.TB, expression string, vars map[string]any) bool {
	t.Helper()
	env, err := cel.NewEnv(cel.Variable("object", cel.DynType), cel.Variable("oldObject", cel.DynType), cel.Variable("request", cel.DynType))
	if err != nil {
		t.Fatal(err)
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		t.Fatalf("%s: %v", expression, issues.Err())
	}
	program, err := env.Program(ast)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := program.Eval(vars)
	if err != nil {
		t.Fatalf("%s fails for %+v: %v", expression, vars, err)
	}
	return out.Value() == true
}
