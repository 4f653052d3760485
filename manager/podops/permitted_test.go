package podops

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
)

// becomes is a workload whose pods change in one way.
type becomes struct {
	plain
	change inplace.Change
}

func (w *becomes) Target(_ *corev1.Pod, s podset.Step) (inplace.Target, error) {
	return inplace.Target{Revision: s.To, Change: w.change, Template: &corev1.PodTemplateSpec{}}, nil
}

// serving makes a pod one that serves.
func serving(p *corev1.Pod) *corev1.Pod {
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	p.Annotations = map[string]string{"pub.kruise.io/related-pub": "web"}
	return p
}

// protect puts the pods under a budget that lets so many of them go, which it returns as it is stored.
func (w *world) protect(o disruption.Options, allowed int32, faults interceptor.Funcs, operations ...policyv1beta1.PubOperation) func() *policyv1beta1.PodUnavailableBudget {
	w.Helper()
	kinds := runtime.NewScheme()
	if err := policyv1beta1.AddToScheme(kinds); err != nil {
		w.Fatal(err)
	}
	b := &policyv1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Namespace: web.Namespace, Name: web.Name}}
	b.Spec.TargetReference = &policyv1beta1.TargetReference{APIVersion: "apps.kruise.io/v1beta1", Kind: "CloneSet", Name: web.Name}
	b.Spec.ProtectOperations = operations
	b.Status = policyv1beta1.PodUnavailableBudgetStatus{UnavailableAllowed: allowed, CurrentAvailable: 9, DesiredAvailable: 9 - allowed, TotalReplicas: 9}
	api := fake.NewClientBuilder().WithScheme(kinds).WithObjects(b).WithStatusSubresource(b).WithInterceptorFuncs(faults).Build()
	stored := func() *policyv1beta1.PodUnavailableBudget {
		now := &policyv1beta1.PodUnavailableBudget{}
		if err := api.Get(w.Context(), web, now); err != nil {
			w.Fatal(err)
		}
		return now
	}
	cached := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, index.Indexers())
	if err := cached.Add(stored()); err != nil {
		w.Fatal(err)
	}
	w.Permits = permits.New(o)
	if err := w.Permits.OpenOver(index.Over[*policyv1beta1.PodUnavailableBudget](cached), api, api, w.Clock); err != nil {
		w.Fatal(err)
	}
	w.job.Plan = &podset.Plan{}
	return stored
}

// moved is a step that writes a state.
func moved(to lifecycle.State, notReady bool) podset.Step {
	s := step(podset.Move, "a")
	s.State, s.NotReady = to, notReady
	return s
}

func TestWhatTakesAPodOutOfServiceSpendsTheBudgetOfItAndNothingElseDoes(t *testing.T) {
	all := disruption.Options{Deletions: true, Changes: true, ResizesApart: true}
	images, labels := inplace.Change{Images: map[string]string{"main": "a:2"}}, inplace.Change{Labels: map[string]*string{"tier": new("front")}}
	resize := inplace.Change{Resources: map[string]corev1.ResourceRequirements{
		"main": {Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}},
	}}
	restarting := serving(pod("a"))
	restarting.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.RestartContainer}}
	gated := serving(pod("a"))
	gated.Spec.ReadinessGates = append(gated.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: v1beta1.KruisePodReadyConditionType})
	recreates := step(podset.Delete, "a")
	recreates.Recreates = true
	const (
		free     = ""
		deletion = "deletion"
		change   = "change"
	)
	for name, c := range map[string]struct {
		step       podset.Step
		change     inplace.Change
		options    disruption.Options
		operations []policyv1beta1.PubOperation
		pod        *corev1.Pod
		costs      string
		wish       podset.Wish
	}{
		"a deletion":                                        {step: step(podset.Delete, "a"), costs: deletion, wish: podset.WishScaleIn},
		"a deletion, to recreate the pod":                   {step: recreates, costs: deletion, wish: podset.WishUpdate},
		"a deletion of a pod that does not serve":           {step: step(podset.Delete, "a"), pod: pod("a"), costs: free},
		"a deletion, where changes alone are protected":     {step: step(podset.Delete, "a"), options: disruption.Options{Changes: true}, costs: free},
		"a deletion, where the budget is for changes":       {step: step(podset.Delete, "a"), operations: []policyv1beta1.PubOperation{policyv1beta1.PubUpdateOperation}, costs: free},
		"the hook before a deletion takes it out":           {step: moved(lifecycle.PreparingDelete, true), pod: gated, costs: deletion, wish: podset.WishScaleIn},
		"the hook before a deletion cannot take it out":     {step: moved(lifecycle.PreparingDelete, true), costs: free},
		"the hook before a deletion leaves it in":           {step: moved(lifecycle.PreparingDelete, false), costs: free},
		"the hook before an update takes it out":            {step: moved(lifecycle.PreparingUpdate, true), pod: gated, costs: change, wish: podset.WishUpdate},
		"the hook before an update cannot take it out":      {step: moved(lifecycle.PreparingUpdate, true), costs: free},
		"the hook before an update leaves it in":            {step: moved(lifecycle.PreparingUpdate, false), costs: free},
		"back from a hook":                                  {step: moved(lifecycle.Normal, false), costs: free},
		"an update that restarts a container":               {step: step(podset.Update, "a"), change: images, costs: change, wish: podset.WishUpdate},
		"an update, where deletions alone are protected":    {step: step(podset.Update, "a"), change: images, options: disruption.Options{Deletions: true}, costs: free},
		"an update that restarts nothing":                   {step: step(podset.Update, "a"), change: labels, costs: free},
		"a resize, where the budget is for resizes":         {step: step(podset.Update, "a"), change: resize, operations: []policyv1beta1.PubOperation{policyv1beta1.PubResizeOperation}, costs: change, wish: podset.WishUpdate},
		"a resize, where the budget is for updates":         {step: step(podset.Update, "a"), change: resize, operations: []policyv1beta1.PubOperation{policyv1beta1.PubUpdateOperation}, costs: free},
		"a resize that restarts, where it is for updates":   {step: step(podset.Update, "a"), change: resize, pod: restarting, operations: []policyv1beta1.PubOperation{policyv1beta1.PubUpdateOperation}, costs: change, wish: podset.WishUpdate},
		"a resize, where updates stand for resizes as well": {step: step(podset.Update, "a"), change: resize, options: disruption.Options{Changes: true}, operations: []policyv1beta1.PubOperation{policyv1beta1.PubUpdateOperation}, costs: change, wish: podset.WishUpdate},
		"a pod is put into service":                         {step: step(podset.Settle, "a"), costs: free},
		"a pod is created":                                  {step: podset.Step{Do: podset.Create, Slot: "b"}, costs: free},
	} {
		for _, spent := range []bool{false, true} {
			t.Run(map[bool]string{true: name + ", spent", false: name}[spent], func(t *testing.T) {
				p, options := c.pod, c.options
				if p == nil {
					p = serving(pod("a"))
				}
				if options == (disruption.Options{}) {
					options = all
				}
				w := newWorld(t, interceptor.Funcs{}, p)
				w.job.Workload = &becomes{change: c.change}
				stored := w.protect(options, map[bool]int32{true: 0, false: 1}[spent], interceptor.Funcs{}, c.operations...)
				before := w.resourceVersions()
				if _, err := w.run(c.step); err != nil {
					t.Fatal(err)
				}
				held := spent && c.costs != free
				if wrote := !cmp.Equal(before, w.resourceVersions()); wrote == held && c.step.Do != podset.Settle {
					t.Errorf("the step was taken: %t", wrote)
				}
				b := stored()
				wantDeletions, wantChanges := 0, 0
				if !held {
					wantDeletions, wantChanges = one(c.costs == deletion), one(c.costs == change)
				}
				if len(b.Status.DisruptedPods) != wantDeletions || len(b.Status.UnavailablePods) != wantChanges ||
					int(b.Status.UnavailableAllowed) != one(!spent)-wantDeletions-wantChanges {
					t.Errorf("afterwards the budget says %+v", b.Status)
				}
				var want []podset.Note
				if held {
					want = []podset.Note{{Wish: c.wish, Pods: 1, Because: "PodUnavailableBudget web lets no more pods become unavailable", Cause: podset.CauseBudget}}
				}
				if diff := cmp.Diff(want, w.job.Plan.Notes); diff != "" {
					t.Errorf("notes (-want +got):\n%s", diff)
				}
				if wakes := !w.job.Plan.Wake.IsZero(); wakes != held {
					t.Errorf("it is tried again: %t", wakes)
				}
			})
		}
	}
}

func one(is bool) int { return map[bool]int{true: 1}[is] }

// resourceVersions are the versions of the pods by their names.
func (w *world) resourceVersions() map[string]string {
	w.Helper()
	list := &corev1.PodList{}
	if err := w.Client.List(w.Context(), list); err != nil {
		w.Fatal(err)
	}
	versions := map[string]string{}
	for _, p := range list.Items {
		versions[p.Name] = p.ResourceVersion
	}
	return versions
}

func TestOfSeveralPodsTheFirstGoThatABudgetLets(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, serving(pod("a")), serving(pod("b")), pod("broken"), serving(pod("c")))
	stored := w.protect(disruption.Options{Deletions: true}, 1, interceptor.Funcs{})
	w.job.Plan.Scaling = true
	results, err := w.run(step(podset.Delete, "a"), step(podset.Delete, "b"), step(podset.Delete, "broken"), step(podset.Delete, "c"))
	if err != nil || len(results) != 2 {
		t.Fatalf("%d steps were tried: %v", len(results), err)
	}
	if left := w.names(); !slices.Equal(left, []string{"web-b", "web-c"}) {
		t.Errorf("left are %v", left)
	}
	if n := w.job.Plan.Notes; len(n) != 1 || n[0].Pods != 2 || n[0].Wish != podset.WishScaleIn {
		t.Errorf("notes %+v", n)
	}
	if s := stored().Status; s.UnavailableAllowed != 0 || s.CurrentAvailable != 8 || len(s.DisruptedPods) != 1 {
		t.Errorf("the budget says %+v", s)
	}
}

func TestWhatABudgetCannotBeAskedAboutWaits(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, serving(pod("a")))
	w.protect(disruption.Options{Deletions: true}, 1, interceptor.Funcs{
		SubResourcePatch: func(context.Context, client.Client, string, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
			return errBroken
		},
	})
	results, err := w.run(step(podset.Delete, "a"), step(podset.Create, "b"))
	if !errors.Is(err, errBroken) {
		t.Errorf("error %v, want one that says what failed", err)
	}
	if left := w.names(); !slices.Equal(left, []string{"web-a", "web-b"}) || len(results) != 1 {
		t.Errorf("left are %v, and %d steps were tried", left, len(results))
	}
}
