package pod

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/test/integration/apiserver"
)

func TestOnlyPodsThatAskForSomethingWaitForAManager(t *testing.T) {
	namespace := server.Namespace(t)
	stop := managed(t, asIs)
	asked(t, namespace)
	stop()

	if err := server.Client.Create(t.Context(), plain(namespace)); err != nil {
		t.Errorf("a pod that asks for nothing is refused while no manager runs: %v", err)
	}
	err := server.Client.Create(t.Context(), ordered(namespace))
	if err == nil || !strings.Contains(err.Error(), `failed calling webhook "create-fail-0.mpod.kb.io"`) {
		t.Errorf("a pod that asks for an order, while no manager runs: %v", err)
	}
	for _, reserved := range []string{"kube-system", "kube-public", "kruise-system"} {
		p := ordered(reserved)
		if err := server.Client.Create(t.Context(), p); err != nil || waits(p) {
			t.Errorf("a pod in %s: %v; its containers wait: %t", reserved, err, waits(p))
		}
	}
	static := ordered(namespace)
	static.Name, static.GenerateName, static.Spec.NodeName = "static", "", "n1"
	static.Annotations[corev1.MirrorPodAnnotationKey] = "x"
	static.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n1", UID: "u", Controller: ptr.To(true)}}
	if err := server.Client.Create(t.Context(), static); err != nil {
		t.Errorf("the mirror of a static pod: %v", err)
	}
	// The expression looks at every variable of a pod: there must be no pod for which it takes too long.
	huge := plain(namespace)
	for i := range 20000 {
		huge.Spec.Containers[i%2].Env = append(huge.Spec.Containers[i%2].Env, corev1.EnvVar{Name: fmt.Sprint("VARIABLE_", i), Value: "x"})
	}
	if err := server.Client.Create(t.Context(), huge); err != nil {
		t.Errorf("a pod with 20,000 variables: %.300v", err)
	}
}

func TestAPolicyThatIsChosenIsFollowed(t *testing.T) {
	namespace := server.Namespace(t)
	stop := managed(t, func(m *manager.Options) { m.Pod.Policies = map[string]string{"launch-priority": "Ignore"} })
	apiserver.Eventually(t, "the policy is there", func() bool { return slices.Equal(webhooks(t), []string{"create-ignore-0.mpod.kb.io"}) })
	apiserver.Eventually(t, "the API server asks about a pod that wants an order", func() bool { return dry(t, ordered(namespace), waits) })
	stop()
	apiserver.Eventually(t, "a pod that asks for an order is let through without one", func() bool {
		p := ordered(namespace)
		return server.Client.Create(t.Context(), p) == nil && !waits(p)
	})
}

func TestWhatOthersDoToTheWebhooksIsMadeGood(t *testing.T) {
	namespace := server.Namespace(t)
	managed(t, asIs)
	asked(t, namespace)
	ca := configuration(t).Webhooks[0].ClientConfig.CABundle
	for name, spoil := range map[string]string{
		"taken away":     `{"webhooks":[]}`,
		"other CA":       `{"webhooks":[{"name":"create-fail-0.mpod.kb.io","clientConfig":{"caBundle":"bm9uZQ=="}}]}`,
		"another policy": `{"webhooks":[{"name":"create-fail-0.mpod.kb.io","failurePolicy":"Ignore"}]}`,
		"a webhook of all pods": `{"webhooks":[{"name":"all.example.org","admissionReviewVersions":["v1"],"sideEffects":"None","clientConfig":{"url":"https://localhost:1/"},` +
			`"failurePolicy":"Ignore","rules":[{"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"],"operations":["CREATE"]}]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			kind := client.RawPatch("application/strategic-merge-patch+json", []byte(spoil))
			if strings.HasSuffix(spoil, "[]}") {
				kind = client.RawPatch("application/merge-patch+json", []byte(spoil))
			}
			if err := server.Client.Patch(t.Context(), configuration(t), kind); err != nil {
				t.Fatal(err)
			}
			apiserver.Eventually(t, "the webhooks are as they were", func() bool {
				c := configuration(t)
				return len(c.Webhooks) == 1 && c.Webhooks[0].Name == "create-fail-0.mpod.kb.io" && *c.Webhooks[0].FailurePolicy == "Fail" &&
					bytes.Equal(c.Webhooks[0].ClientConfig.CABundle, ca)
			})
		})
	}
}

func TestWithTheGateOffTheWebhooksOfAnEarlierRunGo(t *testing.T) {
	namespace := server.Namespace(t)
	stop := managed(t, asIs)
	asked(t, namespace)
	stop()
	stop = managed(t, func(m *manager.Options) { m.Pod.Enabled = false })
	apiserver.Eventually(t, "no webhook is left", func() bool { return len(webhooks(t)) == 0 })
	stop()
	apiserver.Eventually(t, "a pod that asks for an order is let through without one", func() bool {
		return server.Client.Create(t.Context(), ordered(namespace)) == nil
	})
}

func TestEveryPodGetsTheReadinessGateWhereThatIsWanted(t *testing.T) {
	namespace := server.Namespace(t)
	stop := managed(t, func(m *manager.Options) { m.Pod.GateForAll = true })
	gated := func(p *corev1.Pod) bool {
		return len(p.Spec.ReadinessGates) == 1 && p.Spec.ReadinessGates[0].ConditionType == "KruisePodReady"
	}
	apiserver.Eventually(t, "a pod gets the gate", func() bool { return dry(t, plain(namespace), gated) })
	p := plain(namespace)
	if err := server.Client.Create(t.Context(), p); err != nil || !gated(p) {
		t.Fatalf("%v, gates %v", err, p.Spec.ReadinessGates)
	}
	apiserver.Eventually(t, "its gate is opened", func() bool {
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == "KruisePodReady" && c.Status == "True" })
	})
	stop()
	if err := server.Client.Create(t.Context(), plain(namespace)); err != nil {
		t.Errorf("a pod waits for a manager because of a gate that it can do without: %v", err)
	}
}

func TestPodsOfVirtualKubeletsAreAskedForProbes(t *testing.T) {
	namespace := server.Namespace(t)
	managed(t, func(m *manager.Options) { m.Pod.Serverless = true })
	asked(t, namespace)
	marker := &v1alpha1.PodProbeMarker{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "idle"}}
	marker.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	marker.Spec.Probes = []v1alpha1.PodContainerProbe{{Name: "p", ContainerName: "a", PodConditionType: "Idle"}}
	marker.Spec.Probes[0].Probe.Exec = &corev1.ExecAction{Command: []string{"true"}}
	if err := server.Client.Create(t.Context(), marker); err != nil {
		t.Fatal(err)
	}
	const want = `[{"name":"p","containerName":"a","probe":{"exec":{"command":["true"]}},"podConditionType":"Idle","podProbeMarkerName":"idle"}]`
	apiserver.Eventually(t, "a pod carries its probes", func() bool {
		return dry(t, plain(namespace), func(p *corev1.Pod) bool {
			return p.Annotations["kruise.io/podprobe"] == want && p.Annotations["kruise.io/podprobemarker-list"] == "idle"
		})
	})
	if err := server.Client.Delete(t.Context(), marker); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the webhook goes with the marker", func() bool { return len(webhooks(t)) == 1 })
}
