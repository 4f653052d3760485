package pod

import (
	"context"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/plan/sidecar"
)

// logging is a SidecarSet about the pods of a namespace, which goes with the test.
func logging(t *testing.T, namespace string, change func(*v1beta1.SidecarSet)) *v1beta1.SidecarSet {
	t.Helper()
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: "log-" + namespace}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	set.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "log", Image: "log:1"}}}
	change(set)
	eventually(t, "the SidecarSet is created", func() bool { // where the manager has begun a moment ago, its webhook may not be trusted yet
		err := server.Client.Create(t.Context(), set)
		if err != nil && !strings.Contains(err.Error(), "failed calling webhook") {
			t.Fatal(err)
		}
		return err == nil
	})
	t.Cleanup(func() {
		// Without a manager there is no conversion for a collector that deletes the namespace, but the stored version needs none.
		if err := client.IgnoreNotFound(server.Client.Delete(context.WithoutCancel(t.Context()), set)); err != nil {
			t.Error(err)
		}
	})
	return set
}

// containers are the names of a pod's containers.
func containers(p *corev1.Pod) string {
	var out []string
	for _, c := range p.Spec.Containers {
		out = append(out, c.Name)
	}
	return strings.Join(out, " ")
}

func carries(p *corev1.Pod) bool { return containers(p) == "log a b" }

func plainly(*v1beta1.SidecarSet) {}

func TestAPodCarriesTheSidecarsOfTheSetsThatSelectIt(t *testing.T) {
	namespace, elsewhere := server.Namespace(t), server.Namespace(t)
	managed(t, asIs)
	set := logging(t, namespace, plainly)
	eventually(t, "a pod carries the sidecar", func() bool { return dry(t, plain(namespace), carries) })
	p := plain(namespace)
	if err := server.Client.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	record, err := sidecar.Read(p)
	if err != nil {
		t.Fatal(err)
	}
	entry := record.Hash[set.Name]
	if !sidecar.Injected(p, set.Name) || entry.SidecarSetHash != set.Annotations[v1beta1.SidecarSetHashKey] || !slices.Equal(entry.SidecarList, []string{"log"}) ||
		record.WithoutImage[set.Name].SidecarSetHash != set.Annotations[v1beta1.SidecarSetHashWithoutImageKey] {
		t.Errorf("the pod says %v", p.Annotations)
	}
	if p.Spec.Containers[0].Image != "log:1" || p.Spec.Containers[0].Env[0] != (corev1.EnvVar{Name: "IS_INJECTED", Value: "true"}) {
		t.Errorf("the sidecar is %+v", p.Spec.Containers[0])
	}
	other := plain(elsewhere)
	if err := server.Client.Create(t.Context(), other); err != nil || carries(other) {
		t.Errorf("a pod of another namespace: %v, containers %s", err, containers(other))
	}
	// The order of containers is that of all of them.
	first := ordered(namespace)
	if err := server.Client.Create(t.Context(), first); err != nil || !carries(first) || !waits(first) {
		t.Errorf("a pod that wants an order: %v, containers %s, they wait: %t", err, containers(first), waits(first))
	}
	if err := server.Client.Patch(t.Context(), set, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"injectionStrategy":{"paused":true}}}`))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a paused set injects nothing", func() bool {
		return dry(t, plain(namespace), func(p *corev1.Pod) bool { return containers(p) == "a b" })
	})
}

func TestASetSaysWhatBecomesOfItsPodsWhileNoManagerAnswers(t *testing.T) {
	strict, lenient := server.Namespace(t), server.Namespace(t)
	stop := managed(t, asIs)
	logging(t, strict, plainly)
	logging(t, lenient, func(set *v1beta1.SidecarSet) {
		set.Annotations = map[string]string{v1beta1.SidecarSetInjectionFailurePolicyKey: "Ignore"}
	})
	eventually(t, "pods carry their sidecars", func() bool { return dry(t, plain(strict), carries) && dry(t, plain(lenient), carries) })
	eventually(t, "each has its policy", func() bool {
		return slices.Equal(webhooks(t), []string{"create-fail-0.mpod.kb.io", "create-ignore-0.mpod.kb.io"})
	})
	stop()
	// The API server goes on by what it read of the webhooks, which may be a moment old.
	eventually(t, "a pod that may miss its sidecar starts without", func() bool {
		p := plain(lenient)
		return server.Client.Create(t.Context(), p) == nil && containers(p) == "a b"
	})
	err := server.Client.Create(t.Context(), plain(strict))
	if err == nil || !strings.Contains(err.Error(), `failed calling webhook "create-fail-0.mpod.kb.io"`) {
		t.Errorf("a pod that must not miss its sidecar: %v", err)
	}
	for _, spare := range []*corev1.Pod{plain(server.Namespace(t)), plain("kube-system"), plain("kruise-system")} {
		if err := server.Client.Create(t.Context(), spare); err != nil {
			t.Errorf("a pod in %s, which no set selects: %v", spare.Namespace, err)
		}
	}
	missed := &corev1.PodList{}
	if err := server.Client.List(t.Context(), missed, client.InNamespace(lenient)); err != nil {
		t.Fatal(err)
	}
	set := &v1beta1.SidecarSet{}
	if err := server.Client.Get(t.Context(), client.ObjectKey{Name: "log-" + lenient}, set); err != nil {
		t.Fatal(err)
	}
	for i := range missed.Items {
		if got := sidecar.Missed(&missed.Items[i], map[string]string{corev1.LabelMetadataName: lenient}, []*v1beta1.SidecarSet{set}); !slices.Equal(got, []string{set.Name}) {
			t.Errorf("the pod misses %v", got)
		}
	}
}

func TestWhatCannotBeInjectedFollowsThePolicyOfItsSet(t *testing.T) {
	namespace := server.Namespace(t)
	managed(t, asIs)
	set := logging(t, namespace, func(set *v1beta1.SidecarSet) {
		set.Spec.Containers[0].ResourcesPolicy = &v1beta1.ResourcesPolicy{TargetContainersMode: "sum", TargetContainersNameRegex: "db",
			ResourcesExpr: v1beta1.ResourcesExpr{Requests: &v1beta1.ResourceExprRequests{CPU: "cpu"}}}
	})
	const want = `sidecars: Pod "web-" is invalid: spec: Forbidden: SidecarSet %s cannot be injected: container log: resourcesPolicy: none of the pod's containers (a, b) matches targetContainersNameRegex ^(?:db)$`
	message := ""
	eventually(t, "a pod is refused", func() bool {
		err := server.Client.Create(t.Context(), plain(namespace), client.DryRunAll)
		if err != nil {
			message = err.Error()
		}
		return err != nil
	})
	if !strings.HasSuffix(message, strings.Replace(want, "%s", set.Name, 1)) {
		t.Errorf("refused with %s", message)
	}
	lenient := `{"metadata":{"annotations":{"` + v1beta1.SidecarSetInjectionFailurePolicyKey + `":"Ignore"}}}`
	if err := server.Client.Patch(t.Context(), set, client.RawPatch("application/merge-patch+json", []byte(lenient))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a pod is let through without", func() bool {
		return dry(t, plain(namespace), func(p *corev1.Pod) bool { return containers(p) == "a b" })
	})
}

func TestAPinnedRevisionIsInjected(t *testing.T) {
	namespace := server.Namespace(t)
	managed(t, asIs)
	set := logging(t, namespace, plainly)
	data, err := sidecar.RevisionData(set)
	if err != nil {
		t.Fatal(err)
	}
	old := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "kruise-system", Name: set.Name + "-old",
		Labels: map[string]string{v1beta1.SidecarSetNameKey: set.Name, v1beta1.SidecarSetCustomVersionKey: "v1"}}, Revision: 1, Data: runtime.RawExtension{Raw: data}}
	if err := server.Client.Create(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	change := func(patch string) {
		t.Helper()
		if err := server.Client.Patch(t.Context(), set, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
			t.Fatal(err)
		}
	}
	change(`{"spec":{"containers":[{"name":"log","image":"log:2"}]}}`)
	image := func(want, revision string) func(*corev1.Pod) bool {
		return func(p *corev1.Pod) bool {
			record, err := sidecar.Read(p)
			return err == nil && carries(p) && p.Spec.Containers[0].Image == want && (revision == "" || record.Hash[set.Name].SidecarSetControllerRevision == revision)
		}
	}
	eventually(t, "the newest is injected", func() bool { return dry(t, plain(namespace), image("log:2", "")) })
	change(`{"spec":{"injectionStrategy":{"revision":{"customVersion":"v1"}}}}`)
	eventually(t, "the revision of the version is injected", func() bool { return dry(t, plain(namespace), image("log:1", old.Name)) })
	change(`{"spec":{"injectionStrategy":{"revision":{"customVersion":null,"revisionName":"` + old.Name + `","policy":"Partial"}},"updateStrategy":{"selector":{"matchLabels":{"canary":"true"}}}}}`)
	canary := plain(namespace)
	canary.Labels["canary"] = "true"
	eventually(t, "a canary gets the newest, and the others do not", func() bool {
		return dry(t, canary.DeepCopy(), image("log:2", "")) && dry(t, plain(namespace), image("log:1", old.Name))
	})
}

// said is whether a condition of a set names something.
func said(t *testing.T, set *v1beta1.SidecarSet, words string) bool {
	t.Helper()
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(set), set); err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(set.Status.Conditions, func(c metav1.Condition) bool { return strings.Contains(c.Message, words) })
}

func TestACanaryTakesThePlaceOfItsBaseAsLongAsItInjects(t *testing.T) {
	namespace := server.Namespace(t)
	managed(t, asIs)
	base := logging(t, namespace, plainly)
	eventually(t, "pods carry the sidecar of the base", func() bool { return dry(t, plain(namespace), carries) })
	canary := logging(t, namespace, func(set *v1beta1.SidecarSet) {
		set.Name = "canary-" + namespace
		set.Annotations = map[string]string{v1beta1.SidecarSetCanaryKey: "true", v1beta1.SidecarSetBaseKey: base.Name}
		set.Spec.Selector.MatchLabels["track"] = "canary"
		set.Spec.UpdateStrategy.Type = v1beta1.NotUpdateSidecarSetStrategyType
		set.Spec.Containers[0].Image = "log:canary"
	})
	tried := func() *corev1.Pod {
		p := plain(namespace)
		p.Labels["track"] = "canary"
		return p
	}
	from := func(set *v1beta1.SidecarSet, image string) func(*corev1.Pod) bool {
		return func(p *corev1.Pod) bool {
			return carries(p) && p.Spec.Containers[0].Image == image && slices.Equal(sidecar.InjectedSets(p), []string{set.Name})
		}
	}
	eventually(t, "pods of the canary carry its sidecar alone", func() bool { return dry(t, tried(), from(canary, "log:canary")) })
	one, other := tried(), plain(namespace)
	for _, p := range []*corev1.Pod{one, other} {
		if err := server.Client.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if !from(canary, "log:canary")(one) || !from(base, "log:1")(other) {
		t.Errorf("the pods carry %s by %v and %s by %v", containers(one), sidecar.InjectedSets(one), containers(other), sidecar.InjectedSets(other))
	}
	counts := func(set *v1beta1.SidecarSet, pods int32) bool {
		return !said(t, set, "recreate them") && set.Status.ObservedGeneration == set.Generation && set.Status.MatchedPods == pods
	}
	eventually(t, "each counts its own", func() bool { return counts(base, 1) && counts(canary, 1) })
	if err := server.Client.Patch(t.Context(), canary, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"injectionStrategy":{"paused":true}}}`))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "while the canary is paused, its pods carry the sidecar of the base", func() bool { return dry(t, tried(), from(base, "log:1")) })
	if err := server.Client.Patch(t.Context(), canary, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"injectionStrategy":{"paused":false}}}`))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "and no longer afterwards", func() bool { return dry(t, tried(), from(canary, "log:canary")) })
	if err := server.Client.Delete(t.Context(), canary.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "once the canary is gone, they do again", func() bool { return dry(t, tried(), from(base, "log:1")) })
	// Neither of them misses the pod that the canary left.
	if err := server.Client.Patch(t.Context(), one, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"looked":"at"}}}`))); err != nil {
		t.Fatal(err)
	}
	late := plain(namespace)
	if err := server.Client.Create(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the base counts the next pod, and misses none", func() bool { return counts(base, 2) })
}

func TestASetSelectsNamespacesByAnyOfTheirLabels(t *testing.T) {
	namespace, elsewhere := server.Namespace(t), server.Namespace(t)
	managed(t, asIs)
	team := func(name, team string) {
		t.Helper()
		n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := server.Client.Patch(t.Context(), n, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"team":"`+team+`"}}}`))); err != nil {
			t.Fatal(err)
		}
	}
	team(namespace, namespace)
	team(elsewhere, "others")
	set := logging(t, namespace, func(set *v1beta1.SidecarSet) {
		set.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": namespace}}
	})
	eventually(t, "pods of the namespace carry the sidecar", func() bool { return dry(t, plain(namespace), carries) })
	early := plain(elsewhere)
	if err := server.Client.Create(t.Context(), early); err != nil || carries(early) {
		t.Errorf("a pod of a namespace of others: %v, containers %s", err, containers(early))
	}
	team(elsewhere, namespace)
	eventually(t, "the set misses the pod of a namespace that it selects by now", func() bool { return said(t, set, elsewhere+"/"+early.Name) })
	eventually(t, "new pods of it carry the sidecar", func() bool { return dry(t, plain(elsewhere), carries) })
	team(elsewhere, "others")
	eventually(t, "the set misses it no longer", func() bool { return !said(t, set, elsewhere+"/"+early.Name) })
}

func TestASetSaysThatItMissedThePodThatWasThereJustBeforeIt(t *testing.T) {
	managed(t, asIs)
	eventually(t, "a pod and then its set are created within one second", func() bool {
		namespace := server.Namespace(t)
		p := plain(namespace)
		if err := server.Client.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		set := logging(t, namespace, plainly)
		if !set.CreationTimestamp.Equal(&p.CreationTimestamp) {
			return false
		}
		eventually(t, "the set says so", func() bool { return said(t, set, namespace+"/"+p.Name) })
		return true
	})
}

func TestContainersOfSeveralSetsCanBeSortedByTheirNames(t *testing.T) {
	namespace := server.Namespace(t)
	managed(t, func(m *manager.Options) { m.Pod.SortSidecars = true })
	logging(t, namespace, func(set *v1beta1.SidecarSet) {
		set.Spec.Containers = append(set.Spec.Containers, v1beta1.SidecarContainer{Container: corev1.Container{Name: "agent", Image: "agent:1"}})
	})
	eventually(t, "they are sorted", func() bool {
		return dry(t, plain(namespace), func(p *corev1.Pod) bool { return containers(p) == "agent log a b" })
	})
}
