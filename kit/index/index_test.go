package index

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

func pod(name string, controllers ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name)}}
	for _, uid := range controllers {
		p.OwnerReferences = append(p.OwnerReferences, metav1.OwnerReference{UID: types.UID(uid), Controller: ptr.To(true)})
	}
	return p
}

func storeOf(t *testing.T, pods ...*corev1.Pod) (*Store[*corev1.Pod], toolscache.Indexer) {
	t.Helper()
	indexer := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, Indexers())
	for _, p := range pods {
		if err := indexer.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	return Over[*corev1.Pod](indexer), indexer
}

func TestObjectsAreListedByTheirController(t *testing.T) {
	looked := pod("looked-at", "other")
	looked.OwnerReferences = append(looked.OwnerReferences, metav1.OwnerReference{UID: "web"}) // an owner, but not the controller
	store, indexer := storeOf(t, pod("a", "web"), pod("b", "web"), pod("c", "other"), pod("orphan"), looked)
	names := func() []string {
		pods, err := store.OwnedBy("web")
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, p := range pods {
			out = append(out, p.Name)
		}
		slices.Sort(out)
		return out
	}
	if diff := cmp.Diff([]string{"a", "b"}, names()); diff != "" {
		t.Errorf("pods of web (-want +got):\n%s", diff)
	}
	if err := indexer.Update(pod("b")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a"}, names()); diff != "" {
		t.Errorf("pods of web once b was released (-want +got):\n%s", diff)
	}
}

func TestOrphansAreListedByTheirNamespace(t *testing.T) {
	elsewhere := pod("elsewhere")
	elsewhere.Namespace = "other"
	looked := pod("looked-at") // an owner, but not the controller
	looked.OwnerReferences = []metav1.OwnerReference{{UID: "web"}}
	store, indexer := storeOf(t, pod("a", "web"), pod("orphan"), looked, elsewhere)
	names := func(namespace string) []string {
		pods, err := store.Orphans(namespace)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, p := range pods {
			out = append(out, p.Name)
		}
		slices.Sort(out)
		return out
	}
	if diff := cmp.Diff([]string{"looked-at", "orphan"}, names("shop")); diff != "" {
		t.Errorf("orphans in shop (-want +got):\n%s", diff)
	}
	if err := indexer.Update(pod("orphan", "web")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"looked-at"}, names("shop")); diff != "" {
		t.Errorf("orphans in shop once one was adopted (-want +got):\n%s", diff)
	}
	if got := names("empty"); len(got) > 0 {
		t.Errorf("orphans in a namespace without any: %v", got)
	}
}

func TestNobodyOwnsNothing(t *testing.T) {
	store, _ := storeOf(t, pod("orphan"))
	if pods, err := store.OwnedBy("web"); err != nil || len(pods) != 0 {
		t.Errorf("got %d pods and the error %v, want none", len(pods), err)
	}
}

func TestAStoreWithoutTheIndexSaysSo(t *testing.T) {
	store := Over[*corev1.Pod](toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{}))
	if _, err := store.OwnedBy("web"); err == nil || !strings.Contains(err.Error(), "list by controller") {
		t.Errorf("got the error %v", err)
	}
}

func TestAnObjectIsFoundByItsName(t *testing.T) {
	store, _ := storeOf(t, pod("a"))
	if p, ok := store.Get(types.NamespacedName{Namespace: "shop", Name: "a"}); !ok || p.Name != "a" {
		t.Errorf("got %v, %v", p, ok)
	}
	for _, key := range []types.NamespacedName{{Namespace: "shop", Name: "b"}, {Namespace: "other", Name: "a"}, {Name: "a"}} {
		if p, ok := store.Get(key); ok {
			t.Errorf("found %s at %s", p.Name, key)
		}
	}
}

func TestAnObjectWithoutANamespaceIsFoundByItsName(t *testing.T) {
	indexer := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, Indexers())
	if err := indexer.Add(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "one"}}); err != nil {
		t.Fatal(err)
	}
	if _, ok := Over[*corev1.Node](indexer).Get(types.NamespacedName{Name: "one"}); !ok {
		t.Error("the node is in the store and was not found")
	}
}

func TestOnlyAnObjectOfTheSameUIDThatIsNotBeingDeletedLives(t *testing.T) {
	leaving := pod("leaving")
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	store, _ := storeOf(t, pod("a"), leaving)
	for name, c := range map[string]struct {
		pod  string
		uid  types.UID
		want bool
	}{
		"it is there":                      {"a", "uid-a", true},
		"another one has its name":         {"a", "uid-before", false},
		"it is being deleted":              {"leaving", "uid-leaving", false},
		"there is nothing under this name": {"gone", "uid-gone", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := store.Lives(types.NamespacedName{Namespace: "shop", Name: c.pod}, c.uid); got != c.want {
				t.Errorf("lives: %v, want %v", got, c.want)
			}
		})
	}
}

func TestAStoreKnowsHowFarItIs(t *testing.T) {
	p := pod("a")
	p.ResourceVersion = "7"
	store, indexer := storeOf(t, p)
	if got := store.Version(); got != "7" {
		t.Errorf("after an object of version 7 it is at %q", got)
	}
	indexer.Bookmark("9")
	if got := store.Version(); got != "9" {
		t.Errorf("after a bookmark of version 9 it is at %q", got)
	}
	if err := indexer.Replace(nil, "12"); err != nil {
		t.Fatal(err)
	}
	if got := store.Version(); got != "12" {
		t.Errorf("after an empty list of version 12 it is at %q", got)
	}
}

func TestObjectsAreFoundByWhatAnIndexReadsOffThem(t *testing.T) {
	byNode := Index[*corev1.Pod]{Name: "node", Values: func(p *corev1.Pod) []string { return []string{p.Spec.NodeName} }}
	indexer := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{byNode.Name: byNode.Func()})
	for _, name := range []string{"a", "b"} {
		p := pod(name)
		p.Spec.NodeName = "node-of-" + name
		if err := indexer.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Over[*corev1.Pod](indexer).By(byNode, "node-of-b")
	if err != nil || len(found) != 1 || found[0].Name != "b" {
		t.Errorf("got %v and the error %v", found, err)
	}
	if _, err := Over[*corev1.Pod](indexer).By(Index[*corev1.Pod]{Name: "zone"}, "a"); err == nil {
		t.Error("an index that is not there finds something")
	}
}

func TestObjectsAreListedByNamespaceAndByWhatFollowsFromThem(t *testing.T) {
	other := pod("b")
	other.Namespace = "bank"
	store, indexer := storeOf(t, pod("a"), other)
	byNode := Index[*corev1.Pod]{Name: "node", Values: func(p *corev1.Pod) []string { return []string{p.Spec.NodeName, "all"} }}
	if err := indexer.AddIndexers(toolscache.Indexers{byNode.Name: byNode.Func()}); err != nil {
		t.Fatal(err)
	}
	moved := pod("a")
	moved.Spec.NodeName = "n1"
	if err := indexer.Update(moved); err != nil {
		t.Fatal(err)
	}
	lookup := &Lookup[*corev1.Pod]{store, byNode}
	for what, tc := range map[string]struct {
		list func() ([]*corev1.Pod, error)
		want string
	}{
		"a namespace":           {func() ([]*corev1.Pod, error) { return store.InNamespace("bank") }, "b"},
		"an empty namespace":    {func() ([]*corev1.Pod, error) { return store.InNamespace("none") }, ""},
		"all":                   {func() ([]*corev1.Pod, error) { return store.All(), nil }, "a b"},
		"a word of one":         {func() ([]*corev1.Pod, error) { return lookup.Of("n1") }, "a"},
		"a word of both":        {func() ([]*corev1.Pod, error) { return lookup.Of("all") }, "a b"},
		"a word of neither one": {func() ([]*corev1.Pod, error) { return lookup.Of("n2") }, ""},
	} {
		found, err := tc.list()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range found {
			names = append(names, p.Name)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != tc.want {
			t.Errorf("%s: %s, want %s", what, got, tc.want)
		}
	}
}
