package protection

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

// object reads an object that somebody is about to delete.
func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

func labelled(namespace, label, more string) string {
	return "{metadata: {name: web, namespace: '" + namespace + "', labels: {policy.kruise.io/delete-protection: '" + label + "'}}" + more + "}"
}

func TestDeletions(t *testing.T) {
	const kruise = "apps.kruise.io"
	for name, c := range map[string]struct {
		group, kind, object string
		counted             []Children
		refusal, warning    string
	}{
		"always, whatever there is": {"apps", "Deployment", labelled("shop", "Always", ", spec: {replicas: 0}"), nil,
			"Deployment shop/web is protected by its label policy.kruise.io/delete-protection=Always: take the label off first (kubectl label deployments.apps web -n shop policy.kruise.io/delete-protection-)", ""},
		"a workload with replicas": {kruise, "CloneSet", labelled("shop", "Cascading", ", spec: {replicas: 3}"), nil,
			"CloneSet shop/web is protected by its label policy.kruise.io/delete-protection=Cascading while it has 3 replicas: scale it to 0 first, or take the label off (kubectl label clonesets.apps.kruise.io web -n shop policy.kruise.io/delete-protection-)", ""},
		"a workload that does not say how many": {kruise, "UnitedDeployment", labelled("shop", "Cascading", ""), nil,
			"UnitedDeployment shop/web is protected by its label policy.kruise.io/delete-protection=Cascading while it has 1 replica: scale it to 0 first, or take the label off (kubectl label uniteddeployments.apps.kruise.io web -n shop policy.kruise.io/delete-protection-)", ""},
		"a workload without replicas": {"apps", "StatefulSet", labelled("shop", "Cascading", ", spec: {replicas: 0}"), nil, "", ""},
		"a DaemonSet on nodes that it should leave": {kruise, "DaemonSet", labelled("shop", "Cascading", ", status: {currentNumberScheduled: 1, numberMisscheduled: 2}"), nil,
			"DaemonSet shop/web is protected by its label policy.kruise.io/delete-protection=Cascading while it has 3 pods: have it select no node first, or take the label off (kubectl label daemonsets.apps.kruise.io web -n shop policy.kruise.io/delete-protection-)", ""},
		"a DaemonSet on no node yet": {kruise, "DaemonSet", labelled("shop", "Cascading", ", status: {desiredNumberScheduled: 2}"), nil,
			"DaemonSet shop/web is protected by its label policy.kruise.io/delete-protection=Cascading while it has 2 pods: have it select no node first, or take the label off (kubectl label daemonsets.apps.kruise.io web -n shop policy.kruise.io/delete-protection-)", ""},
		"a DaemonSet of no node": {kruise, "DaemonSet", labelled("shop", "Cascading", ", status: {desiredNumberScheduled: 0}"), nil, "", ""},
		"a SidecarSet with pods": {kruise, "SidecarSet", labelled("", "Cascading", ", status: {matchedPods: 1}"), nil,
			"SidecarSet web is protected by its label policy.kruise.io/delete-protection=Cascading while it has 1 pod: have it select no pod first, or take the label off (kubectl label sidecarsets.apps.kruise.io web policy.kruise.io/delete-protection-)", ""},
		"a SidecarSet without pods": {kruise, "SidecarSet", labelled("", "Cascading", ", status: {matchedPods: 0}"), nil, "", ""},
		"a namespace with pods and claims": {"", "Namespace", labelled("", "Cascading", ""), []Children{{Count: 500, More: true, Of: "active pod"}, {Count: 1, Of: "bound volume claim"}},
			"Namespace web is protected by its label policy.kruise.io/delete-protection=Cascading while it has at least 500 active pods and 1 bound volume claim: remove them first, or take the label off (kubectl label namespaces web policy.kruise.io/delete-protection-)", ""},
		"a namespace with claims": {"", "Namespace", labelled("", "Cascading", ""), []Children{{Of: "active pod"}, {Count: 2, Of: "bound volume claim"}},
			"Namespace web is protected by its label policy.kruise.io/delete-protection=Cascading while it has 2 bound volume claims: remove them first, or take the label off (kubectl label namespaces web policy.kruise.io/delete-protection-)", ""},
		"a namespace with nothing": {"", "Namespace", labelled("", "Cascading", ""), []Children{{Of: "active pod"}, {Of: "bound volume claim"}}, "", ""},
		"a definition with objects": {"apiextensions.k8s.io", "CustomResourceDefinition", labelled("", "Cascading", ""), []Children{{Count: 1, Of: "object"}},
			"CustomResourceDefinition web is protected by its label policy.kruise.io/delete-protection=Cascading while it has 1 object: remove them first, or take the label off (kubectl label customresourcedefinitions.apiextensions.k8s.io web policy.kruise.io/delete-protection-)", ""},
		"a Service, always": {"", "Service", labelled("shop", "Always", ""), nil,
			"Service shop/web is protected by its label policy.kruise.io/delete-protection=Always: take the label off first (kubectl label services web -n shop policy.kruise.io/delete-protection-)", ""},
		"a Service has nothing that goes with it": {"", "Service", labelled("shop", "Cascading", ""), nil, "",
			"the label policy.kruise.io/delete-protection=Cascading of Service shop/web protects nothing: nothing goes with a Service; Always protects it"},
		"a word in another spelling": {"networking.k8s.io", "Ingress", labelled("shop", "always", ""), nil, "",
			"the label policy.kruise.io/delete-protection=always of Ingress shop/web protects nothing: its value is neither Always nor Cascading"},
		"what is being deleted already": {"apps", "ReplicaSet", strings.Replace(labelled("shop", "Always", ""), "name: web", "name: web, deletionTimestamp: '2026-01-01T00:00:00Z'", 1), nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, ok := Of(c.group, c.kind, object(t, c.object))
			if !ok {
				t.Fatal("the kind is not protected")
			}
			if got, want := Decide(o, c.counted...), (Verdict{Refusal: c.refusal, Warning: c.warning}); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestOtherKindsAreNotProtected(t *testing.T) {
	for _, kind := range [][2]string{{"", "Pod"}, {"", "Secret"}, {"", "PersistentVolumeClaim"}, {"apps", "DaemonSet"}, {"apps", "CloneSet"}, {"", "Deployment"}} {
		if _, ok := Of(kind[0], kind[1], object(t, labelled("shop", "Always", ""))); ok {
			t.Errorf("%s of the group %q is protected", kind[1], kind[0])
		}
	}
}

// Whatever the kind and its children: Always is refused, Cascading exactly while there are any, and all else passes.
func TestRefusalsFollowFromTheLabelAndTheChildrenAlone(t *testing.T) {
	rules := Rules()
	rapid.Check(t, func(t *rapid.T) {
		rule := rapid.SampledFrom(rules).Draw(t, "rule")
		label := rapid.SampledFrom([]string{"Always", "Cascading", "", "None", "cascading"}).Draw(t, "label")
		n := rapid.Int64Range(0, 3).Draw(t, "children")
		going := rapid.Bool().Draw(t, "going")
		o := Object{Rule: rule, Name: "web", Label: label, Going: going}
		if rule.counts != nil {
			o.own = []Children{{Count: n, Of: "replica"}}
		}
		var counted []Children
		if o.Asks() {
			counted = []Children{{Count: n, Of: "pod"}}
		}
		got := Decide(o, counted...)
		want := !going && (label == "Always" || label == "Cascading" && rule.Remedy != "" && n > 0)
		if (got.Refusal != "") != want {
			t.Fatalf("%s %s with %d children, going: %t: refused %q", rule.Kind, label, n, going, got.Refusal)
		}
		if got.Refusal != "" && (got.Warning != "" || !strings.Contains(got.Refusal, rule.Kind+" web") || !strings.Contains(got.Refusal, "delete-protection="+label)) {
			t.Fatalf("the words are %+v", got)
		}
	})
}
