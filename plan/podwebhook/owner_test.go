package podwebhook

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestAPodIsControlledByWhatItsReferenceNames(t *testing.T) {
	set := Owner{GroupKind: schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, Name: "web"}
	deployment := Owner{GroupKind: schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}, Name: "web", Hash: "hash"}
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
		"a name that ends as told":   {deployment, ref("apps/v1", "ReplicaSet", "web-5d"), true},
		"a name that ends otherwise": {deployment, ref("apps/v1", "ReplicaSet", "web-6e"), false},
		"a name that begins so":      {deployment, ref("apps/v1", "ReplicaSet", "web-x-5d"), false},
		"a name that is all end":     {deployment, ref("apps/v1", "ReplicaSet", "-5d"), false},
		"of the group without name":  {core, ref("v1", "ReplicationController", "web"), true},
		"and not of one with a name": {core, ref("example.org/v1", "ReplicationController", "web"), false},
	} {
		t.Run(name, func(t *testing.T) {
			j, pod := judgeOf(t), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: c.refs, Labels: map[string]string{"hash": "5d"}}}
			for operation, variable := range map[Operation]string{Create: "object", Update: "oldObject", Delete: "oldObject"} {
				expression := asked([]Demand{{Operation: operation, Owner: &c.owner}}, nil, mostBytes)
				if got := evaluate(j, expression, map[string]any{variable: asMap(j, pod)}); got != c.want {
					t.Errorf("%s: %v", operation, got)
				}
			}
		})
	}
}
