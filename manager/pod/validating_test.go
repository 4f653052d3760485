package pod

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/podwebhook"
)

// stage is a validating handler with a budget, a pod as the API server has it, and the pod as a cache shows it.
type stage struct {
	*validating
	recorder *events.FakeRecorder
	reads    int // of pods, from the API server
}

func newStage(t *testing.T, allowed int32, live, cached *corev1.Pod) *stage {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, policyv1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	b := &policyv1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	b.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	b.Status = policyv1beta1.PodUnavailableBudgetStatus{UnavailableAllowed: allowed, CurrentAvailable: 1 + allowed, DesiredAvailable: 1, TotalReplicas: 2}
	s := &stage{recorder: events.NewFakeRecorder(10)}
	objects := []client.Object{b}
	if live != nil {
		objects = append(objects, live)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(b).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if _, isPod := o.(*corev1.Pod); isPod {
				s.reads++
			}
			return c.Get(ctx, key, o, opts...)
		},
	}).Build()
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(b), b); err != nil {
		t.Fatal(err)
	}
	store := func(o any) toolscache.Indexer {
		indexer := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, index.Indexers())
		if err := indexer.Add(o); err != nil {
			t.Fatal(err)
		}
		return indexer
	}
	desk := permits.New(disruption.Options{Deletions: true, Changes: true})
	now := clocktesting.NewFakePassiveClock(time.Unix(1_700_000_000, 0))
	if err := desk.OpenOver(index.Over[*policyv1beta1.PodUnavailableBudget](store(b)), c, c, now); err != nil {
		t.Fatal(err)
	}
	w := &world{permits: desk, pods: index.Over[*corev1.Pod](store(cached))}
	s.validating = &validating{world: w, chain: validators(), decoder: admission.NewDecoder(scheme), live: c, recorder: s.recorder}
	return s
}

// web is a pod of the budget.
func web(ready corev1.ConditionStatus) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", Labels: map[string]string{"app": "web"}, CreationTimestamp: metav1.NewTime(time.Unix(1_600_000_000, 0))}}
	p.Spec.Containers = []corev1.Container{{Name: "main", Image: "demo:1"}}
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	return p
}

func raw(t *testing.T, o any) runtime.RawExtension {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return runtime.RawExtension{Raw: text}
}

func (s *stage) send(t *testing.T, r admissionv1.AdmissionRequest) admission.Response {
	t.Helper()
	r.Namespace, r.Name, r.UserInfo = "shop", "web-0", authenticationv1.UserInfo{Username: "somebody"}
	response, err := s.answer(t.Context(), &admission.Request{AdmissionRequest: r})
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func eviction(t *testing.T) admissionv1.AdmissionRequest {
	t.Helper()
	e := &policyv1.Eviction{TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "Eviction"}, ObjectMeta: metav1.ObjectMeta{Name: "web-0"}}
	return admissionv1.AdmissionRequest{Operation: admissionv1.Create, Object: raw(t, e)}
}

func TestAnEvictionThatWaitsCostsNoReadAndIsRefusedAsDrainsUnderstand(t *testing.T) {
	s := newStage(t, 0, web(corev1.ConditionTrue), web(corev1.ConditionTrue))
	got := s.send(t, eviction(t))
	if got.Allowed || got.Result.Code != http.StatusTooManyRequests || !strings.Contains(got.Result.Message, "pub unavailable allowed is negative") {
		t.Errorf("allowed %t, %+v", got.Allowed, got.Result)
	}
	if s.reads > 0 {
		t.Errorf("%d reads", s.reads)
	}
	if event := <-s.recorder.Events; !strings.Contains(event, "PubPreventPodDeletion EVICT by somebody was refused: ") {
		t.Errorf("the event says %q", event)
	}
}

func TestADryRunThatIsRefusedIsToldToNobodyElse(t *testing.T) {
	s := newStage(t, 0, web(corev1.ConditionTrue), web(corev1.ConditionTrue))
	r := eviction(t)
	r.DryRun = new(true)
	if got := s.send(t, r); got.Allowed {
		t.Error("it is allowed")
	}
	select {
	case event := <-s.recorder.Events:
		t.Errorf("there is an event: %s", event)
	default:
	}
}

func TestAnEvictionIsJudgedByThePodAsTheAPIServerHasIt(t *testing.T) {
	for name, tc := range map[string]struct {
		allowed      int32
		live, cached *corev1.Pod
		want         bool
	}{
		"it is back, and the cache does not show it": {0, web(corev1.ConditionTrue), web(corev1.ConditionFalse), false},
		"it is away":                 {0, web(corev1.ConditionFalse), web(corev1.ConditionFalse), true},
		"it may go":                  {1, web(corev1.ConditionTrue), web(corev1.ConditionTrue), true},
		"it is gone, as all will be": {0, nil, web(corev1.ConditionFalse), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := newStage(t, tc.allowed, tc.live, tc.cached).send(t, eviction(t)); got.Allowed != tc.want {
				t.Errorf("allowed %t, %+v", got.Allowed, got.Result)
			}
		})
	}
}

func TestOtherRequestsAreForbiddenWhereTheyTakeAPodOutOfService(t *testing.T) {
	changed, labelled, leaving := web(corev1.ConditionTrue), web(corev1.ConditionTrue), web(corev1.ConditionTrue)
	changed.Spec.Containers[0].Image = "demo:2"
	labelled.Labels["x"] = "y"
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Unix(1_700_000_000, 0)}
	for name, tc := range map[string]struct {
		request admissionv1.AdmissionRequest
		want    bool
	}{
		"a deletion":                            {admissionv1.AdmissionRequest{Operation: admissionv1.Delete, OldObject: raw(t, web(corev1.ConditionTrue))}, false},
		"a deletion of one that is away":        {admissionv1.AdmissionRequest{Operation: admissionv1.Delete, OldObject: raw(t, web(corev1.ConditionFalse))}, true},
		"a deletion of one that is deleted":     {admissionv1.AdmissionRequest{Operation: admissionv1.Delete, OldObject: raw(t, leaving)}, true},
		"another image":                         {admissionv1.AdmissionRequest{Operation: admissionv1.Update, OldObject: raw(t, web(corev1.ConditionTrue)), Object: raw(t, changed)}, false},
		"a label that says nothing to a budget": {admissionv1.AdmissionRequest{Operation: admissionv1.Update, OldObject: raw(t, web(corev1.ConditionTrue)), Object: raw(t, labelled)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := newStage(t, 0, nil, web(corev1.ConditionTrue)).send(t, tc.request)
			if got.Allowed != tc.want || !got.Allowed && got.Result.Code != http.StatusForbidden {
				t.Errorf("allowed %t, %+v", got.Allowed, got.Result)
			}
		})
	}
}

func TestWhereNoBudgetSaysAnythingNobodyIsAskedAboutPods(t *testing.T) {
	for _, line := range validators() {
		if demands, err := line.asks(&world{}); err != nil || len(demands) > 0 {
			t.Errorf("%s asks for %v, %v", line.name, demands, err)
		}
	}
	s := newStage(t, 0, nil, web(corev1.ConditionTrue))
	operations := map[podwebhook.Operation]int{}
	for _, line := range validators() {
		demands, err := line.asks(s.world)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range demands {
			if operations[d.Operation]++; d.Namespace != "shop" {
				t.Errorf("%s asks about namespace %q", line.name, d.Namespace)
			}
		}
	}
	if operations[podwebhook.Delete] == 0 || operations[podwebhook.Update] == 0 || operations[podwebhook.Evict] != 1 || operations[podwebhook.Create] > 0 {
		t.Errorf("asked are %v", operations)
	}
}
