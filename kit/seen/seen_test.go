package seen

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// known is a cache as the test lets it be: up to a version, with some objects.
type known struct {
	version string
	lives   map[types.UID]bool
}

func (s *known) Version() string                                  { return s.version }
func (s *known) Lives(_ types.NamespacedName, uid types.UID) bool { return s.lives[uid] }

var (
	web = types.NamespacedName{Namespace: "shop", Name: "web"}
	db  = types.NamespacedName{Namespace: "shop", Name: "db"}
)

func pod(version string, uid types.UID) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pod-" + string(uid), UID: uid, ResourceVersion: version}}
}

// world has two kinds whose caches are at version 10, where the pods a and b live.
func world() (w *Writes, pods, claims *known) {
	pods = &known{version: "10", lives: map[types.UID]bool{"a": true, "b": true}}
	claims = &known{version: "10", lives: map[types.UID]bool{}}
	return New(map[string]Cache{"Pod": pods, "Claim": claims}), pods, claims
}

func TestACacheIsBehindUntilItHasTheLastVersionWritten(t *testing.T) {
	w, pods, _ := world()
	w.Wrote(web, "Pod", pod("12", "a"))
	w.Wrote(web, "Pod", pod("11", "b")) // answers may come in any order
	for _, step := range []struct {
		version string
		behind  bool
	}{
		{"10", true}, {"11", true}, {"9", true}, {"12", false},
	} {
		pods.version = step.version
		if got := w.Behind(web); (got != "") != step.behind {
			t.Errorf("the cache is at %s: behind is %q, want it to be behind: %v", step.version, got, step.behind)
		}
	}
}

func TestVersionsAreComparedAsNumbers(t *testing.T) {
	w, pods, _ := world()
	w.Wrote(web, "Pod", pod("100", "a"))
	pods.version = "99"
	if w.Behind(web) == "" {
		t.Error("a cache at 99 shows version 100")
	}
	pods.version = "1000"
	if what := w.Behind(web); what != "" {
		t.Errorf("a cache at 1000 does not show version 100: %s", what)
	}
}

func TestACacheThatNeverSyncedShowsNothing(t *testing.T) {
	w, pods, _ := world()
	w.Wrote(web, "Pod", pod("5", "a"))
	pods.version = ""
	if w.Behind(web) == "" {
		t.Error("a cache without a version shows a write")
	}
	pods.version = "5"
	if what := w.Behind(web); what != "" {
		t.Errorf("behind after the first list: %s", what)
	}
}

func TestADeletionIsSeenByTheUIDOfTheObject(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*known)
		behind bool
	}{
		"the object still lives":                          {func(*known) {}, true},
		"the object is gone":                              {func(s *known) { delete(s.lives, "a") }, false},
		"another object of the same name took its place":  {func(s *known) { delete(s.lives, "a"); s.lives["c"] = true }, false},
		"other writes are seen, the deletion is not":      {func(s *known) { s.version = "99" }, true},
		"a relist without the object counts like a watch": {func(s *known) { s.version, s.lives = "99", map[types.UID]bool{} }, false},
		"a relist that is older and has it is not enough": {func(s *known) { s.version = "9" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			w, pods, _ := world()
			w.Deleted(web, "Pod", pod("10", "a"))
			w.Deleted(web, "Pod", pod("10", "a")) // twice is once
			c.change(pods)
			if got := w.Behind(web); (got != "") != c.behind {
				t.Errorf("behind is %q, want it to be behind: %v", got, c.behind)
			}
		})
	}
}

func TestEachKindHasAVersionOfItsOwn(t *testing.T) {
	w, pods, claims := world()
	w.Wrote(web, "Claim", pod("11", "a"))
	w.Wrote(web, "Pod", pod("12", "b"))
	pods.version = "12"
	if w.Behind(web) == "" {
		t.Error("the cache of claims is behind, and nobody noticed")
	}
	claims.version = "11"
	if what := w.Behind(web); what != "" {
		t.Errorf("both caches show everything, and yet it waits for %s", what)
	}
}

func TestOwnersDoNotWaitForEachOther(t *testing.T) {
	w, _, _ := world()
	w.Wrote(web, "Pod", pod("12", "a"))
	w.Deleted(web, "Pod", pod("10", "b"))
	if what := w.Behind(db); what != "" {
		t.Errorf("db waits for a write of web: %s", what)
	}
}

func TestAnOwnerThatIsForgottenWaitsForNothing(t *testing.T) {
	w, _, _ := world()
	w.Wrote(web, "Pod", pod("12", "a"))
	w.Deleted(web, "Pod", pod("10", "b"))
	w.Forget(web)
	if what := w.Behind(web); what != "" {
		t.Errorf("it waits for %s", what)
	}
}

func TestWhatWasSeenIsNotRemembered(t *testing.T) {
	w, pods, _ := world()
	w.Wrote(web, "Pod", pod("12", "a"))
	w.Deleted(web, "Pod", pod("10", "b"))
	pods.version, pods.lives = "12", map[types.UID]bool{}
	if what := w.Behind(web); what != "" {
		t.Fatalf("behind: %s", what)
	}
	if len(w.owners) != 0 {
		t.Errorf("%d owners are remembered, want none", len(w.owners))
	}
}

// TestDoubts tells what is waited for once a write without an answer was looked up. The caches are at version 10.
func TestDoubts(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		uid    types.UID // of the object that was written; none for one to be created
		stored *corev1.Pod
		fails  error
		want   string
	}{
		"a creation that went through":      {stored: pod("12", "a"), want: "Pod at resource version 12, the cache is at 10"},
		"a creation that did not":           {},
		"a change that went through":        {uid: "a", stored: pod("12", "a"), want: "Pod at resource version 12, the cache is at 10"},
		"a change that did not":             {uid: "a", stored: pod("10", "a")},
		"a deletion that went through":      {uid: "a", want: "the deletion of Pod shop/pod-a"},
		"the name is another's by now":      {uid: "a", stored: renamed(pod("12", "z"), "pod-a"), want: "the deletion of Pod shop/pod-a"},
		"the API server does not answer":    {uid: "a", fails: broken, want: "whether Pod shop/pod-a was written"},
		"it does not answer for a creation": {fails: broken, want: "whether Pod shop/pod-a was written"},
	} {
		t.Run(name, func(t *testing.T) {
			build := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithInterceptorFuncs(interceptor.Funcs{
				Get: func(ctx context.Context, api client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
					if c.fails != nil {
						return c.fails
					}
					return api.Get(ctx, key, obj, opts...)
				},
			})
			if c.stored != nil {
				build.WithObjects(c.stored)
			}
			w, _, _ := world()
			meta := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pod-a", UID: c.uid}}
			meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
			w.Doubted(web, "Pod", meta)
			if w.Behind(web) == "" {
				t.Error("a write in doubt is not waited for")
			}
			live := build.Build()
			look := func(ctx context.Context, key types.NamespacedName, into *metav1.PartialObjectMetadata) error {
				return live.Get(ctx, key, into)
			}
			if err := w.Resolve(t.Context(), web, look); !errors.Is(err, c.fails) {
				t.Errorf("error %v, want %v", err, c.fails)
			}
			if got := w.Behind(web); got != c.want {
				t.Errorf("it waits for %q, want %q", got, c.want)
			}
		})
	}
}

func renamed(p *corev1.Pod, name string) *corev1.Pod {
	p.Name = name
	return p
}
