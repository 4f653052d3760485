package podunavailablebudget

import (
	"context"
	"maps"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/test/integration/apiserver"
)

func TestAnUpgradeOfSidecarsAsksTheBudgetsOfEveryNamespace(t *testing.T) {
	t.Parallel()
	shop, bank := nodesOf(t, budget(server.Namespace(t), 1)), nodesOf(t, budget(server.Namespace(t), 0))
	example := apiserver.Example{Kind: "SidecarSet", Cluster: true, Text: `
metadata: {name: ` + shop.Namespace + `-proxy}
spec:
  selector: {matchLabels: {app: web}}
  namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [` + shop.Namespace + `, ` + bank.Namespace + `]}]}
  containers: [{name: proxy, image: "proxy:1"}]
`}
	set := example.Object(t, "v1beta1", "", `{}`)
	create(t, set)
	t.Cleanup(func() { // other tests create pods of the app, too
		if err := server.Client.Delete(context.Background(), set); err != nil {
			t.Error(err)
		}
	})
	for _, n := range []*nodes{bank, shop} { // those that are held come first
		create(t, n.budget)
		eventually(t, "pods get the sidecar", func() bool {
			pod := plain(n.Namespace, "dry")
			return server.Client.Create(t.Context(), pod, client.DryRunAll) == nil && len(pod.Spec.Containers) == 2
		})
		for _, name := range []string{"a", "b", "c"} {
			create(t, plain(n.Namespace, name))
		}
	}
	// upgraded says how many pods are to run the new sidecar, after the kubelets took a step.
	upgraded := func(n *nodes) (count int) {
		for _, pod := range n.play() {
			for _, c := range pod.Spec.Containers {
				if c.Image == "proxy:2" {
					count++
				}
			}
		}
		return count
	}
	eventually(t, "the pods serve and are counted", func() bool {
		return upgraded(shop)+upgraded(bank) == 0 && counts(t, shop.budget, 3, 3, 2, 1) && counts(t, bank.budget, 3, 3, 3, 0)
	})
	// starts are the containers that the pods' author wrote.
	starts := func() map[string]string {
		ids := map[string]string{}
		for _, pod := range append(shop.Pods(), bank.Pods()...) {
			for _, s := range pod.Status.ContainerStatuses {
				if s.Name == "main" {
					ids[pod.Namespace+"/"+pod.Name] = s.ContainerID
				}
			}
		}
		return ids
	}
	before := starts()
	shop.mustServe, bank.mustServe = 2, 3
	if err := server.Client.Patch(t.Context(), set, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"containers":[{"name":"proxy","image":"proxy:2"}]}}`))); err != nil {
		t.Fatal(err)
	}
	why := "3 of 6 pods updated, 3 of them available; 3 pods are to be updated, but PodUnavailableBudget " + bank.Namespace + "/web lets no more pods become unavailable"
	eventually(t, "one budget lets it go on, and what waits for the other is told", func() bool {
		return upgraded(shop) == 3 && upgraded(bank) == 0 && says(t, set, why) && told(t, set, "WaitingForBudget")
	})
	bank.mustServe = 2
	bank.allow(1)
	eventually(t, "the other lets it go on, to its end", func() bool {
		return upgraded(shop)+upgraded(bank) == 6 && counts(t, shop.budget, 3, 3, 2, 1) && counts(t, bank.budget, 3, 3, 2, 1) && says(t, set, "6 of 6 pods updated, 6 of them available")
	})
	if after := starts(); !maps.Equal(before, after) {
		t.Errorf("the containers main of the pods started anew: %v, then %v", before, after)
	}
}
