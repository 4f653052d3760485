package podops

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/seen"
)

func revisionOf(name string, number int64, owners ...metav1.OwnerReference) *appsv1.ControllerRevision {
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name), OwnerReferences: owners}, Revision: number,
	}
}

// archive is a base over an API server with some revisions, of which its cache shows those named.
func archive(t *testing.T, cached []string, revisions ...*appsv1.ControllerRevision) *Base {
	t.Helper()
	build := fake.NewClientBuilder().WithScheme(scheme.Scheme)
	indexer := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, index.Indexers())
	for _, r := range revisions {
		build.WithObjects(r.DeepCopy())
		for _, name := range cached {
			if name != r.Name {
				continue
			}
			if err := indexer.Add(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	api := build.Build()
	return &Base{
		Executor:  Executor{Client: api, Live: api, Writes: seen.New(map[string]seen.Cache{KindRevision: stale{}})},
		Revisions: index.Over[*appsv1.ControllerRevision](indexer),
	}
}

func stored(t *testing.T, b *Base, name string) *appsv1.ControllerRevision {
	t.Helper()
	r := &appsv1.ControllerRevision{}
	if err := b.Client.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestARevisionThatIsMissingIsCreated(t *testing.T) {
	b := archive(t, nil)
	if collides, err := b.EnsureRevision(t.Context(), web, nil, revisionOf("web-1", 1)); collides || err != nil {
		t.Fatalf("collides: %v, %v", collides, err)
	}
	stored(t, b, "web-1")
	if b.Writes.Behind(web) == "" {
		t.Error("the write is not waited for")
	}
}

func TestANameCollidesOnlyWhenTheCacheShowsWhoHasIt(t *testing.T) {
	for name, c := range map[string]struct {
		cached []string
		want   bool
	}{
		"the cache shows it": {[]string{"web-1"}, true}, "the cache lags behind": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := archive(t, c.cached, revisionOf("web-1", 1))
			collides, err := b.EnsureRevision(t.Context(), web, nil, revisionOf("web-1", 2))
			if collides != c.want || !apierrors.IsAlreadyExists(err) || !strings.Contains(err.Error(), "create controller revision web-1") {
				t.Errorf("collides: %v, want %v; error %v", collides, c.want, err)
			}
		})
	}
}

func TestAnOlderRevisionThatIsWantedAgainComesToTheFront(t *testing.T) {
	for name, c := range map[string]struct{ kept, next, want int64 }{
		"it is older than another":  {1, 3, 3},
		"it is the newest as it is": {2, 3, 2},
	} {
		t.Run(name, func(t *testing.T) {
			kept := revisionOf("web-1", c.kept)
			b := archive(t, nil, kept)
			if _, err := b.EnsureRevision(t.Context(), web, kept, revisionOf("web-1", c.next)); err != nil {
				t.Fatal(err)
			}
			if got := stored(t, b, "web-1").Revision; got != c.want {
				t.Errorf("its number is %d, want %d", got, c.want)
			}
			if wrote := b.Writes.Behind(web) != ""; wrote != (c.want != c.kept) {
				t.Errorf("written: %v", wrote)
			}
		})
	}
}

func TestARevisionIsGivenTheHashOfClaimsThatItLacks(t *testing.T) {
	kept, wanted := revisionOf("web-1", 1), revisionOf("web-1", 2)
	wanted.Annotations = map[string]string{v1beta1.ClaimTemplatesHashKey: "sha256-1"}
	b := archive(t, nil, kept)
	if _, err := b.EnsureRevision(t.Context(), web, kept, wanted); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, b, "web-1"); got.Revision != 1 || got.Annotations[v1beta1.ClaimTemplatesHashKey] != "sha256-1" {
		t.Errorf("its number is %d and its annotations are %v", got.Revision, got.Annotations)
	}
}

func TestARevisionThatNobodyOwnsIsAdopted(t *testing.T) {
	orphan := revisionOf("web-1", 1)
	b := archive(t, nil, orphan)
	ref := metav1.OwnerReference{APIVersion: "apps.kruise.io/v1beta1", Kind: "CloneSet", Name: "web", UID: "web", Controller: ptr.To(true)}
	if err := b.AdoptRevisions(t.Context(), web, ref, []*appsv1.ControllerRevision{orphan}); err != nil {
		t.Fatal(err)
	}
	if got := metav1.GetControllerOfNoCopy(stored(t, b, "web-1")); got == nil || got.UID != "web" {
		t.Errorf("its controller is %v", got)
	}
	if len(orphan.OwnerReferences) > 0 {
		t.Error("the cache's own memory was changed")
	}
}

func TestRevisionsThatAreGoneAlreadyAreNoErrorToDelete(t *testing.T) {
	b := archive(t, nil, revisionOf("web-1", 1))
	if err := b.DeleteRevisions(t.Context(), web, []*appsv1.ControllerRevision{revisionOf("web-0", 0), revisionOf("web-1", 1)}); err != nil {
		t.Fatal(err)
	}
	left := &appsv1.ControllerRevisionList{}
	if err := b.Client.List(t.Context(), left); err != nil || len(left.Items) > 0 {
		t.Errorf("%d are left, %v", len(left.Items), err)
	}
}
