package podops

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/test/builder"
)

var (
	web       = types.NamespacedName{Namespace: "shop", Name: "web"}
	errBroken = errors.New("broken")
)

// stale is a cache that shows nothing of what is written.
type stale struct{}

func (stale) Version() string                            { return "" }
func (stale) Lives(types.NamespacedName, types.UID) bool { return true }

// world is an executor over an API server with some pods.
type world struct {
	*testing.T
	*Executor
	job Job
}

// plain is a workload whose pods are all alike, with a claim each if it has any.
type plain struct {
	claims []*corev1.PersistentVolumeClaim
}

func (w *plain) NewPod(s podset.Step) (*corev1.Pod, []*corev1.PersistentVolumeClaim, error) {
	return pod(s.Slot), w.claims, nil
}

func (w *plain) ClaimsOf(podset.Step) []*corev1.PersistentVolumeClaim { return w.claims }

func (w *plain) Target(_ *corev1.Pod, s podset.Step) (inplace.Target, error) {
	return inplace.Target{Revision: s.To, Change: inplace.Change{Images: map[string]string{"main": "a:2"}}, Template: &corev1.PodTemplateSpec{}}, nil
}

func newWorld(t *testing.T, faults interceptor.Funcs, pods ...*corev1.Pod) *world {
	t.Helper()
	build := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithStatusSubresource(&corev1.Pod{})
	job := Job{Owner: web, Workload: &plain{}}
	for _, p := range pods {
		build.WithObjects(p.DeepCopy())
		job.Pods = append(job.Pods, p)
	}
	api := build.WithInterceptorFuncs(faults).Build()
	return &world{t, &Executor{
		Client: api, Live: api, Clock: clocktesting.NewFakePassiveClock(time.Unix(1_000_000, 0)),
		Writes: seen.New(map[string]seen.Cache{KindPod: stale{}, KindClaim: stale{}}),
	}, job}
}

// pod is a pod of web.
func pod(id string) *corev1.Pod {
	p := builder.Pod("web-" + id).Namespace("shop").Gate(v1beta1.InPlaceUpdateReady).
		OwnedBy(metav1.OwnerReference{APIVersion: "apps.kruise.io/v1beta1", Kind: "CloneSet", Name: "web", UID: "web", Controller: ptr.To(true)}).Object()
	p.UID = types.UID("uid-" + id)
	return p
}

func step(do podset.Do, id string) podset.Step {
	return podset.Step{Do: do, Slot: id, Pod: &replica.Replica{Name: "web-" + id, UID: types.UID("uid-" + id), Slot: id}, To: "web-new"}
}

func (w *world) run(steps ...podset.Step) ([]Result, error) {
	w.job.Steps = steps
	return w.Executor.Run(w.Context(), w.job)
}

func (w *world) names() (names []string) {
	w.Helper()
	list := &corev1.PodList{}
	if err := w.Client.List(w.Context(), list); err != nil {
		w.Fatal(err)
	}
	for _, p := range list.Items {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names
}

func TestStepsOfOneSortAreTakenTogetherAndTheNextSortAfterThem(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, pod("a"), pod("b"))
	results, err := w.run(step(podset.Delete, "a"), step(podset.Delete, "b"), step(podset.Create, "c"), step(podset.Create, "d"))
	if err != nil || len(results) != 4 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	if diff := cmp.Diff([]string{"web-c", "web-d"}, w.names()); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
}

func TestAStepThatFailsLeavesTheOthersOfItsSortAndNoMore(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.DeleteOption) error {
			if obj.GetName() == "web-a" {
				return errBroken
			}
			return c.Delete(ctx, obj, o...)
		},
	}, pod("a"), pod("b"))
	results, err := w.run(step(podset.Delete, "a"), step(podset.Delete, "b"), step(podset.Create, "c"))
	if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "delete Pod shop/web-a") {
		t.Errorf("error %v, want one that says what failed", err)
	}
	if len(results) != 2 || results[0].Pod != "web-a" || !errors.Is(results[0].Err, errBroken) || results[1].Pod != "web-c" || results[1].Err != nil {
		t.Errorf("what was tried is %v, want web-a with its error, and web-c", results)
	}
	if diff := cmp.Diff([]string{"web-a", "web-b", "web-c"}, w.names()); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
}

func TestAPlanThatTakesLongIsDecidedAnew(t *testing.T) {
	const planned = 3 * enoughSteps
	for name, c := range map[string]struct {
		each        time.Duration // how long a step takes
		least, most int
	}{
		"all of it when it is quick":                      {enoughTime / planned / 2, planned, planned},
		"no more than enough when it is slow":             {enoughTime / 10, enoughSteps, enoughSteps + parallel},
		"for as long as is allowed when it is in between": {enoughTime / enoughSteps / 2, 2*enoughSteps - parallel, 2*enoughSteps + parallel},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			now := clocktesting.NewFakePassiveClock(time.Unix(1_000_000, 0))
			w := newWorld(t, interceptor.Funcs{
				Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
					mu.Lock()
					defer mu.Unlock()
					now.SetTime(now.Now().Add(c.each))
					return nil
				},
			})
			w.Clock = now
			var steps []podset.Step
			for i := range planned {
				p := pod(strconv.Itoa(i))
				w.job.Pods = append(w.job.Pods, p)
				steps = append(steps, step(podset.Delete, strconv.Itoa(i)))
			}
			results, err := w.run(append(steps, step(podset.Create, "new"))...)
			tried := min(len(results), planned)
			if err != nil || tried < c.least || tried > c.most {
				t.Errorf("%d steps were tried, with the error %v; want %d to %d", tried, err, c.least, c.most)
			}
			if created := len(w.names()) == 1; created != (tried == planned) {
				t.Errorf("the steps behind those were taken: %v", created)
			}
		})
	}
}

func TestHowManyStepsAreTriedWhenAllAreRefused(t *testing.T) {
	refuse := interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return errBroken },
		Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error { return errBroken },
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			time.Sleep(time.Second) // on the clock of the test: all that are to begin together do
			return errBroken
		},
	}
	for do, want := range map[podset.Do]int{podset.Create: 1, podset.Delete: 1, podset.Move: parallel} {
		t.Run(string(do), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, refuse)
				var steps []podset.Step
				for i := range 2 * parallel {
					p := pod(strconv.Itoa(i))
					w.job.Pods = append(w.job.Pods, p)
					steps = append(steps, step(do, strconv.Itoa(i)))
				}
				if results, err := w.run(steps...); len(results) != want || !errors.Is(err, errBroken) {
					t.Errorf("%d steps were tried, with the error %v; want %d", len(results), err, want)
				}
			})
		})
	}
}

func TestAPodThatIsGoneIsNoFailure(t *testing.T) {
	for _, do := range []podset.Do{podset.Delete, podset.Update, podset.Move} {
		t.Run(string(do), func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{})
			w.job.Pods = append(w.job.Pods, pod("a"))
			if results, err := w.run(step(do, "a")); err != nil || len(results) != 1 {
				t.Errorf("%d results, %v", len(results), err)
			}
		})
	}
}

func TestAPodThatCannotBeTakenOutOfServiceIsNotChanged(t *testing.T) {
	resource := schema.GroupResource{Resource: "pods"}
	for name, answer := range map[string]error{
		"refused": errBroken, "gone": apierrors.NewNotFound(resource, "web-a"), "another one": apierrors.NewConflict(resource, "web-a", errBroken),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{
				SubResourcePatch: func(context.Context, client.Client, string, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
					return answer
				},
			}, pod("a"))
			if _, err := w.run(step(podset.Update, "a")); (err != nil) == apierrors.IsNotFound(answer) {
				t.Errorf("error %v", err)
			}
			after := &corev1.Pod{}
			if err := w.Client.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "web-a"}, after); err != nil {
				t.Fatal(err)
			}
			if image := after.Spec.Containers[0].Image; image != "a:1" {
				t.Errorf("the pod runs %s while it is in service", image)
			}
		})
	}
}

func TestANameThatIsTaken(t *testing.T) {
	foreign := pod("a")
	foreign.OwnerReferences[0].UID = "another"
	orphan := pod("a")
	orphan.OwnerReferences = nil
	for name, c := range map[string]struct {
		exists *corev1.Pod
		wrong  bool
	}{
		"by a pod that was made already":         {pod("a"), false},
		"by a pod of another controller":         {foreign, true},
		"by a pod that has no controller at all": {orphan, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, c.exists)
			_, err := w.run(step(podset.Create, "a"))
			if (err != nil) != c.wrong {
				t.Errorf("error %v, want one: %v", err, c.wrong)
			}
			if waits := w.Writes.Behind(web) != ""; waits == c.wrong {
				t.Errorf("the next decision waits for the pod: %v", waits)
			}
		})
	}
}

func TestTheGatesOfAPodAreOpenOnceItIsCreated(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{})
	if _, err := w.run(step(podset.Create, "a")); err != nil {
		t.Fatal(err)
	}
	created := &corev1.Pod{}
	if err := w.Client.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "web-a"}, created); err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, c := range created.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			open = append(open, string(c.Type))
		}
	}
	if diff := cmp.Diff([]string{"InPlaceUpdateReady"}, open); diff != "" {
		t.Errorf("conditions that are True (-want +got):\n%s", diff)
	}
}

func TestEveryWriteIsWaitedFor(t *testing.T) {
	for _, do := range []podset.Do{podset.Create, podset.Delete} {
		t.Run(string(do), func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, pod("a"))
			id := "a"
			if do == podset.Create {
				id = "b"
			}
			if _, err := w.run(step(do, id)); err != nil {
				t.Fatal(err)
			}
			if w.Writes.Behind(web) == "" {
				t.Error("the next decision does not wait")
			}
		})
	}
}

func TestADeletionThatIsRefusedWithAConflictTakesNothingAway(t *testing.T) {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data-web-a", UID: "claim-a"}}
	w := newWorld(t, interceptor.Funcs{
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			if _, ok := obj.(*corev1.Pod); ok {
				return apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, obj.GetName(), errBroken)
			}
			return c.Delete(ctx, obj, opts...)
		},
	}, pod("a"))
	w.job.Workload = &plain{claims: []*corev1.PersistentVolumeClaim{claim}}
	if err := w.Client.Create(t.Context(), claim.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.run(step(podset.Delete, "a")); !apierrors.IsConflict(err) {
		t.Errorf("error %v, want the conflict", err)
	}
	if err := w.Client.Get(t.Context(), client.ObjectKeyFromObject(claim), &corev1.PersistentVolumeClaim{}); err != nil {
		t.Errorf("the claim of a pod that lives: %v", err)
	}
	if what := w.Writes.Behind(web); what != "" {
		t.Errorf("the next decision waits for %s", what)
	}
}

func TestWritesWithoutAnAnswerAreLookedUpBeforeTheNextDecision(t *testing.T) {
	lost := apierrors.NewInternalError(errBroken)
	w := newWorld(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			return errors.Join(lost, c.Create(ctx, obj, opts...))
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			return errors.Join(lost, c.Delete(ctx, obj, opts...))
		},
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			return lost
		},
	}, pod("a"), pod("b"))
	for _, s := range []podset.Step{step(podset.Create, "c"), step(podset.Delete, "a"), step(podset.Move, "b")} {
		t.Run(string(s.Do), func(t *testing.T) {
			w.Writes.Forget(web)
			if _, err := w.run(s); err == nil {
				t.Error("the failure is not told")
			}
			if what := w.Writes.Behind(web); !strings.HasPrefix(what, "whether ") {
				t.Errorf("the next decision waits for %q, want it to wait until the outcome is known", what)
			}
			if err := w.Writes.Resolve(t.Context(), web, func(ctx context.Context, key types.NamespacedName, into *metav1.PartialObjectMetadata) error {
				return w.Live.Get(ctx, key, into)
			}); err != nil {
				t.Fatal(err)
			}
			if what := w.Writes.Behind(web); what == "" || strings.HasPrefix(what, "whether ") {
				t.Errorf("the next decision waits for %q, want it to wait until the cache shows the outcome", what)
			}
		})
	}
}

func TestANameThatIsTakenAndCannotBeLookedAtIsInDoubt(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return errBroken
		},
	}, pod("a"))
	if _, err := w.run(step(podset.Create, "a")); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
	if what := w.Writes.Behind(web); !strings.HasPrefix(what, "whether ") {
		t.Errorf("the next decision waits for %q, want it to wait until the outcome is known", what)
	}
}

func TestARefusalLeavesNoDoubt(t *testing.T) {
	resource := schema.GroupResource{Resource: "pods"}
	for name, answer := range map[string]error{
		"a quota": apierrors.NewForbidden(resource, "web-a", errBroken), "invalid": apierrors.NewBadRequest("no"),
		"later, please": apierrors.NewTooManyRequests("busy", 1), "another one": apierrors.NewConflict(resource, "web-a", errBroken),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{
				Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return answer },
			})
			if _, err := w.run(step(podset.Create, "a")); err == nil {
				t.Error("the failure is not told")
			}
			if what := w.Writes.Behind(web); what != "" {
				t.Errorf("the next decision waits for %s", what)
			}
		})
	}
}

func TestAStepOfAPodThatWasNotObservedIsRefused(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{})
	if _, err := w.run(step(podset.Move, "a")); err == nil || !strings.Contains(err.Error(), "web-a") {
		t.Errorf("error %v", err)
	}
}
