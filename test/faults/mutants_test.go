package faults

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
)

// enough is the number of seeds within which every mutant must be found.
const enough = 800

// TestWhatIsWrongOnPurposeIsFound proves that a broken promise is noticed. Each mutant does one thing wrong, and one of
// the words must be in what is found.
func TestWhatIsWrongOnPurposeIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		mutant Mutant
		words  []string
	}{
		"it takes its caches to show its own writes": {
			Mutant{cachesLie: true}, []string{"one too many", "must stay", "claim"}},
		"it takes a lost answer for a refusal": {
			wrapped(func(c *faulty) { c.answer = refusal }), []string{"one too many", "must stay", "claim"}},
		"it restarts pods that are in service": {
			wrapped(func(c *faulty) { c.drops = v1beta1.StartInPlaceUpdateReason }), []string{"was not taken out of service"}},
		"it takes deletions for done": {
			wrapped(func(c *faulty) { c.keepPods = true }), []string{"lives with it", "no rest", "still there", "in the end"}},
		"it spends more than the budget": {
			seeing(func(s *v1beta1.CloneSetSpec, r *v1beta1.RollingUpdateCloneSetStrategy) {
				everything := intstr.FromString("100%")
				r.MaxUnavailable = &everything
			}), []string{"must stay"}},
		"it makes one pod too many": {
			seeing(func(s *v1beta1.CloneSetSpec, _ *v1beta1.RollingUpdateCloneSetStrategy) { *s.Replicas++ }), []string{"one too many"}},
		"it does not know the partition": {
			seeing(func(_ *v1beta1.CloneSetSpec, r *v1beta1.RollingUpdateCloneSetStrategy) { r.Partition = nil }),
			[]string{"the partition keeps"}},
		"it does not know pauses": {
			seeing(func(_ *v1beta1.CloneSetSpec, r *v1beta1.RollingUpdateCloneSetStrategy) { r.Paused = false }),
			[]string{"paused"}},
		"it does not wait for hooks": {
			seeing(func(s *v1beta1.CloneSetSpec, _ *v1beta1.RollingUpdateCloneSetStrategy) { s.Lifecycle = nil }), []string{"no such move"}},
		"it keeps pods in service that wait for their hook": {
			seeing(func(s *v1beta1.CloneSetSpec, _ *v1beta1.RollingUpdateCloneSetStrategy) { keepReady(s.Lifecycle) }), []string{"is not taken out of service"}},
		"it takes the holds of others away": {
			telling(func(body string) string { return strangersHold.ReplaceAllString(body, "") }), []string{"others held the pod"}},
		"it writes the holds that it read a while ago": {
			telling(func(body string) string { return versionFirst.ReplaceAllString(body, "") }), []string{"others held the pod"}},
		"it does not take its own holds away": {
			telling(func(body string) string {
				if !versionFirst.MatchString(body) { // a pod whose gate was never open before
					return body
				}
				return opening.ReplaceAllString(body, "")
			}), []string{"available in the end", "no rest"}},
		"it does not look again after a failure": {
			Mutant{reconciler: func(r reconcile.Reconciler) reconcile.Reconciler { return careless{r} }}, []string{"in the end", "no rest", "the status"}},
		"it does not wait for containers that go first": {
			sending(func(body string) string { return firstReady.ReplaceAllString(body, "") }), []string{"which goes first"}},
		"it changes one image of two": {
			sending(func(body string) string { return sideImage.ReplaceAllString(body, "") }), []string{"its revision says"}},
		"it resizes more pods than may be broken": {
			seeing(func(s *v1beta1.CloneSetSpec, r *v1beta1.RollingUpdateCloneSetStrategy) {
				r.MaxUnavailable = new(intstr.FromString("100%"))
			}),
			[]string{"resized at a time"}},
		"it does not wait for labels and annotations in an environment": {
			sending(func(body string) string {
				if strings.Contains(body, renews) {
					return restarting.ReplaceAllString(strings.Replace(body, renews, "", 1), `\"lastContainerStatuses\":{}`)
				}
				return body
			}), []string{"in its environment"}},
		"it does not know that claim templates change": {
			seeing(func(s *v1beta1.CloneSetSpec, _ *v1beta1.RollingUpdateCloneSetStrategy) {
				if len(s.VolumeClaimTemplates) > 0 {
					s.VolumeClaimTemplates = claimTemplates()
				}
			}), []string{"old revisions in the end"}},
		"it makes claims of another size": {
			wrapped(func(c *faulty) { c.makes = smallClaim }), []string{"its claim templates ask for"}},
		"it takes a webhook that does not answer for one that does": {
			wrapped(func(c *faulty) { c.answer = answered }), []string{"in the end", "no rest", "the status"}},
	} {
		t.Run(name, func(t *testing.T) { find(t, cloneSets, c.mutant, c.words...) })
	}
}

// TestWhatIsWrongWithStatefulSetsOnPurposeIsFound is the same about StatefulSets.
func TestWhatIsWrongWithStatefulSetsOnPurposeIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		mutant Mutant
		words  []string
	}{
		"it takes its caches to show its own writes": {
			Mutant{cachesLie: true}, []string{"must stay", "before those below", "no rest", "is not in the cache", "does not exist", "its claim"}},
		"it restarts pods that are in service": {
			wrapped(func(c *faulty) { c.drops = v1beta1.StartInPlaceUpdateReason }), []string{"was not taken out of service"}},
		"it takes deletions for done": {
			wrapped(func(c *faulty) { c.keepPods = true }), []string{"no rest", "still there", "in the end"}},
		"it spends more than the budget": {
			seeingStateful(func(s *v1beta1.StatefulSetSpec) {
				if r := s.UpdateStrategy.RollingUpdate; r != nil {
					r.MaxUnavailable = new(intstr.FromString("100%"))
				}
			}), []string{"must stay"}},
		"it makes one pod too many": {
			seeingStateful(func(s *v1beta1.StatefulSetSpec) { *s.Replicas++ }), []string{"its ordinal is not wanted"}},
		"it does not know reserved ordinals": {
			seeingStateful(func(s *v1beta1.StatefulSetSpec) { s.ReserveOrdinals = nil }), []string{"its ordinal is not wanted"}},
		"it does not know the order": {
			seeingStateful(func(s *v1beta1.StatefulSetSpec) { s.PodManagementPolicy = appsv1.ParallelPodManagement }), []string{"before those below it"}},
		"it does not know the partition": {
			seeingStateful(func(s *v1beta1.StatefulSetSpec) {
				if r := s.UpdateStrategy.RollingUpdate; r != nil {
					r.Partition = nil
				}
			}), []string{"the partition keeps"}},
		"it does not know pauses": {
			seeingStateful(func(s *v1beta1.StatefulSetSpec) {
				if r := s.UpdateStrategy.RollingUpdate; r != nil {
					r.Paused = false
				}
			}), []string{"paused"}},
		"it does not know that claims grow": {
			seeingStateful(func(s *v1beta1.StatefulSetSpec) { s.VolumeClaimUpdateStrategy.Type = "" }), []string{"is wanted"}},
		"it does not look again after a failure": {
			Mutant{reconciler: func(r reconcile.Reconciler) reconcile.Reconciler { return careless{r} }}, []string{"in the end", "no rest", "the status"}},
	} {
		t.Run(name, func(t *testing.T) { find(t, statefulSets, c.mutant, c.words...) })
	}
}

// TestWhatIsWrongWithDaemonSetsOnPurposeIsFound is the same about DaemonSets.
func TestWhatIsWrongWithDaemonSetsOnPurposeIsFound(t *testing.T) {
	rolling := func(change func(*v1beta1.RollingUpdateDaemonSet)) Mutant {
		return seeingOnNodes(func(s *v1beta1.DaemonSetSpec) { change(s.UpdateStrategy.RollingUpdate) })
	}
	for name, c := range map[string]struct {
		mutant Mutant
		words  []string
	}{
		"it takes its caches to show its own writes": {
			Mutant{cachesLie: true}, []string{"after a write", "is not in the cache", "no rest"}},
		"it takes a lost answer for a refusal": {
			wrapped(func(c *faulty) { c.answer = refusal }), []string{"pods after a write"}},
		"it restarts pods that are in service": {
			wrapped(func(c *faulty) { c.drops = v1beta1.StartInPlaceUpdateReason }), []string{"was not taken out of service"}},
		"it takes deletions for done": {
			wrapped(func(c *faulty) { c.keepPods = true }), []string{"no rest", "still there", "in the end"}},
		"it spends more than the budget": {
			rolling(func(r *v1beta1.RollingUpdateDaemonSet) { r.MaxUnavailable = new(intstr.FromString("100%")) }), []string{"nodes have an available pod after a write"}},
		"it surges without being asked to": {
			rolling(func(r *v1beta1.RollingUpdateDaemonSet) {
				r.MaxUnavailable, r.MaxSurge = new(intstr.FromInt32(0)), new(intstr.FromInt32(1))
			}), []string{"has 2 pods after a write"}},
		"it makes pods for nodes that nobody asked for": {
			seeingOnNodes(func(s *v1beta1.DaemonSetSpec) { s.Template.Spec.NodeSelector = nil }), []string{"is not to have one"}},
		"it fills nodes that are to wait": {
			seeingOnNodes(func(s *v1beta1.DaemonSetSpec) { s.ScaleStrategy = nil }), []string{"is to wait"}},
		"it does not know which nodes are left out": {
			rolling(func(r *v1beta1.RollingUpdateDaemonSet) { r.Selector = nil }), []string{"which the update leaves out"}},
		"it does not know the partition": {
			rolling(func(r *v1beta1.RollingUpdateDaemonSet) { r.Partition = nil }), []string{"the partition keeps"}},
		"it does not know pauses": {
			rolling(func(r *v1beta1.RollingUpdateDaemonSet) { r.Paused = nil }), []string{"paused"}},
		"it does not wait for hooks": {
			seeingOnNodes(func(s *v1beta1.DaemonSetSpec) { s.Lifecycle = nil }), []string{"no such move"}},
		"it does not look again after a failure": {
			Mutant{reconciler: func(r reconcile.Reconciler) reconcile.Reconciler { return careless{r} }}, []string{"in the end", "no rest", "the status"}},
	} {
		t.Run(name, func(t *testing.T) { find(t, daemonSets, c.mutant, c.words...) })
	}
}

// TestWhatIsWrongWithSidecarSetsOnPurposeIsFound is the same about SidecarSets.
func TestWhatIsWrongWithSidecarSetsOnPurposeIsFound(t *testing.T) {
	strategy := func(change func(*v1beta1.SidecarSetUpdateStrategy)) Mutant {
		return wrapped(func(f *faulty) {
			f.see = func(set client.Object) {
				if s, ok := set.(*v1beta1.SidecarSet); ok {
					change(&s.Spec.UpdateStrategy)
				}
			}
		})
	}
	for name, c := range map[string]struct {
		mutant Mutant
		words  []string
	}{
		"it spends more than the budget": {
			strategy(func(s *v1beta1.SidecarSetUpdateStrategy) { s.MaxUnavailable = new(intstr.FromString("100%")) }), []string{"pods away for upgrades"}},
		"it does not know the partition": {
			strategy(func(s *v1beta1.SidecarSetUpdateStrategy) { s.Partition = nil }), []string{"the partition keeps"}},
		"it does not know which pods are selected": {
			strategy(func(s *v1beta1.SidecarSetUpdateStrategy) { s.Selector = nil }), []string{"does not select"}},
		"it does not know pauses": {
			strategy(func(s *v1beta1.SidecarSetUpdateStrategy) { s.Paused = false }), []string{"paused"}},
		"it upgrades what is not to be upgraded": {
			strategy(func(s *v1beta1.SidecarSetUpdateStrategy) { s.Type = "" }), []string{"NotUpdate"}},
		"it writes what it read a while ago": {
			sending(func(body string) string { return version.ReplaceAllString(body, "") }), []string{"changes what others wrote"}},
		"it restarts the twin that serves": {
			sending(func(body string) string { return twin.ReplaceAllString(body, `"name":"hot-1"`) }), []string{"serves on"}},
		"it restarts the containers of the pods' authors": {
			sending(func(body string) string { return strings.ReplaceAll(body, `"name":"cold"`, `"name":"main"`) }), []string{"changes what others wrote"}},
		"it labels the pods": {
			sending(func(body string) string {
				return strings.Replace(body, `{"annotations":{`, `{"labels":{"upgraded":"yes"},"annotations":{`, 1)
			}),
			[]string{"changes what others wrote"}},
		"it does not tell which pods cannot be upgraded": {
			wrapped(func(c *faulty) { c.drops = string(v1beta1.SidecarSetUpgradable) }), []string{"cannot be upgraded"}},
		"it recreates pods": {wrapped(func(c *faulty) { c.recreates = true }), []string{"who alone makes and ends it"}},
		"it does not look again after a failure": {
			Mutant{reconciler: func(r reconcile.Reconciler) reconcile.Reconciler { return careless{r} }}, []string{"in the end", "no rest", "the status", "condition"}},
	} {
		t.Run(name, func(t *testing.T) { find(t, sidecarSets, c.mutant, c.words...) })
	}
}

// renews is in the record of an update for which containers restart for their environment.
const renews = `,\"updateEnvFromMetadata\":true`

// firstReady is in the record of an update which containers must be ready before it goes on, and restarting which restart. sideImage is
// the image of the second container in a patch.
var (
	restarting = regexp.MustCompile(`\\"lastContainerStatuses\\":\{(\\"[a-z]+\\":\{[^}]*\},?)*\}`)
	firstReady = regexp.MustCompile(`,\\"preCheckBeforeNext\\":\{[^}]*\}`)
	sideImage  = regexp.MustCompile(`,?\{"name":"side","image":"[^"]*"\}`)
)

// version is the resource version in a patch, and twin the name of a twin.
var (
	version = regexp.MustCompile(`,?"resourceVersion":"[0-9]+"`)
	twin    = regexp.MustCompile(`"name":"hot-[12]"`)
)

// strangersHold is the hold of somebody else in a patch, versionFirst the resource version before the UID, and opening the gate that
// is opened.
var (
	strangersHold = regexp.MustCompile(`\{\\"userAgent\\":\\"` + stranger + `\\",\\"key\\":\\"[a-z]+\\"\},?`)
	versionFirst  = regexp.MustCompile(`"resourceVersion":"[0-9]+",`)
	opening       = regexp.MustCompile(`,?\{"type":"KruisePodReady","status":"True"[^}]*\}`)
)

// find looks for a seed that finds what is wrong, in one of the words.
func find(t *testing.T, of *kind, mutant Mutant, words ...string) {
	t.Helper()
	for seed := uint64(1); seed <= enough; seed++ {
		r := Run(t, Generate(of, seed), mutant)
		if r.Failure != nil && slices.ContainsFunc(words, func(word string) bool { return strings.Contains(r.Failure.Error(), word) }) {
			return
		}
	}
	t.Errorf("not found within %d seeds", enough)
}

func TestAScriptThatFailsIsMadeShorter(t *testing.T) {
	mutant := seeing(func(s *v1beta1.CloneSetSpec, _ *v1beta1.RollingUpdateCloneSetStrategy) { *s.Replicas++ })
	var script Script
	for seed, broken := uint64(1), ""; broken == "" || promise(Run(t, script, mutant).Failure) != broken; seed++ {
		if seed > enough {
			t.Fatal("nothing is broken")
		}
		script = Generate(cloneSets, seed)
		broken = promise(Run(t, Script{Seed: seed, Kind: cloneSets, Set: script.Set}, mutant).Failure)
	}
	if short := Shrink(t, script, mutant); len(short.Lines) > 0 {
		t.Errorf("nothing needs to happen for this mutant to fail, and the script is %q", short.Lines)
	}
}

// faulty is a client that does things wrong.
type faulty struct {
	client.Client
	see      func(client.Object)
	answer   func(error) error
	keepPods bool
	// drops is what is in the patches of a status that are not sent, and tells changes those that are.
	drops string
	tells func(body string) string
	// makes changes what is created, sends the patches of pods, and recreates turns these into deletions.
	makes     func(client.Object)
	sends     func(body string) string
	recreates bool
}

func wrapped(change func(*faulty)) Mutant {
	return Mutant{client: func(c client.Client) client.Client {
		f := &faulty{Client: c, see: func(client.Object) {}, answer: func(err error) error { return err }, makes: func(client.Object) {}}
		f.sends = func(body string) string { return body }
		f.tells = f.sends
		change(f)
		return f
	}}
}

// sending is a mutant that sends other patches of pods.
func sending(change func(body string) string) Mutant {
	return wrapped(func(f *faulty) { f.sends = change })
}

// telling is a mutant that sends other patches of the status of pods.
func telling(change func(body string) string) Mutant {
	return wrapped(func(f *faulty) { f.tells = change })
}

// seeing is a mutant that reads another spec than the one that is there.
func seeing(change func(*v1beta1.CloneSetSpec, *v1beta1.RollingUpdateCloneSetStrategy)) Mutant {
	return wrapped(func(f *faulty) {
		f.see = func(set client.Object) {
			if c, ok := set.(*v1beta1.CloneSet); ok {
				change(&c.Spec, c.Spec.UpdateStrategy.RollingUpdate)
			}
		}
	})
}

// keepReady keeps pods in service that hooks are waited for.
func keepReady(hooks *v1beta1.Lifecycle) {
	if hooks == nil {
		return
	}
	for _, hook := range []*v1beta1.LifecycleHook{hooks.PreDelete, hooks.InPlaceUpdate} {
		if hook != nil {
			hook.MarkPodNotReady = false
		}
	}
}

// seeingStateful is the same for StatefulSets.
func seeingStateful(change func(*v1beta1.StatefulSetSpec)) Mutant {
	return wrapped(func(f *faulty) {
		f.see = func(set client.Object) {
			if s, ok := set.(*v1beta1.StatefulSet); ok {
				change(&s.Spec)
			}
		}
	})
}

// seeingOnNodes is the same for DaemonSets.
func seeingOnNodes(change func(*v1beta1.DaemonSetSpec)) Mutant {
	return wrapped(func(f *faulty) {
		f.see = func(set client.Object) {
			if d, ok := set.(*v1beta1.DaemonSet); ok {
				change(&d.Spec)
			}
		}
	})
}

// refusal turns every error into one that says that nothing was done.
func refusal(err error) error {
	if err == nil || errors.Is(err, errCrashed) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) {
		return err
	}
	return apierrors.NewBadRequest(err.Error())
}

// smallClaim makes a claim as small as those are that runs begin with.
func smallClaim(obj client.Object) {
	if claim, ok := obj.(*corev1.PersistentVolumeClaim); ok {
		claim.Spec.Resources = claimTemplates()[0].Spec.Resources
	}
}

// answered turns the error of a webhook that does not answer into none.
func answered(err error) error {
	if err != nil && strings.Contains(err.Error(), "failed calling webhook") {
		return nil
	}
	return err
}

// Get implements client.Reader.
func (f *faulty) Get(ctx context.Context, at client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	err := f.Client.Get(ctx, at, obj, opts...)
	if err == nil {
		f.see(obj)
	}
	return err
}

// Create implements client.Writer.
func (f *faulty) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	f.makes(obj)
	return f.answer(f.Client.Create(ctx, obj, opts...))
}

// Delete implements client.Writer.
func (f *faulty) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	if _, isPod := obj.(*corev1.Pod); isPod && f.keepPods {
		return nil
	}
	return f.answer(f.Client.Delete(ctx, obj, opts...))
}

// Patch implements client.Writer.
func (f *faulty) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	if f.recreates && kindOf(obj) == kindPod {
		return f.answer(f.Client.Delete(ctx, obj))
	}
	body, err := patch.Data(obj)
	if err != nil {
		return err
	}
	return f.answer(f.Client.Patch(ctx, obj, client.RawPatch(patch.Type(), []byte(f.sends(string(body)))), opts...))
}

// Status implements client.Client.
func (f *faulty) Status() client.SubResourceWriter { return faultyStatus{f.Client.Status(), f} }

type faultyStatus struct {
	client.SubResourceWriter
	client *faulty
}

// Patch implements client.SubResourceWriter.
func (s faultyStatus) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	body, err := patch.Data(obj)
	if err != nil {
		return err
	}
	if drops := s.client.drops; drops != "" && strings.Contains(string(body), drops) {
		return nil
	}
	told := client.RawPatch(patch.Type(), []byte(s.client.tells(string(body))))
	return s.client.answer(s.SubResourceWriter.Patch(ctx, obj, told, opts...))
}

// careless forgets failures.
type careless struct{ reconcile.Reconciler }

// Reconcile implements reconcile.Reconciler.
func (c careless) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	result, err := c.Reconciler.Reconcile(ctx, r)
	if err != nil {
		return result, nil //nolint:nilerr // That is what is wrong with it.
	}
	return result, nil
}
