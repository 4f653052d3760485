// Package seen remembers what a controller wrote until its cache shows it.
//
// A decision made on a cache that lags behind one's own writes would repeat them. So each owner's writes are noted with
// the resource version that the API server gave them, and the owner is not decided upon again before the cache has got
// that far: resource versions of one kind grow, and can be compared (KEP-5504), and a store knows how far it is
// (KEP-5647). Nothing is lost with a restart: a fresh cache is newer than every write before it. Nothing can leak: a
// relist brings the cache forward as a watch does.
//
// A write whose answer was lost may have been carried out or not. It is remembered as a doubt, and looked up at the API
// server itself before the owner is decided upon again.
package seen

import (
	"context"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"kruise.io/kruise/kit/store"
)

// Cache tells how far a store of one kind is.
type Cache interface {
	// Version is the resource version up to which every change is in the store.
	Version() string
	// Lives says whether an object is in the store and not being deleted.
	Lives(key types.NamespacedName, uid types.UID) bool
}

// Writes remembers writes by owner. It is safe for concurrent use; make it with New.
type Writes struct {
	mu     sync.Mutex
	caches map[string]Cache
	owners map[types.NamespacedName]*pending
}

type pending struct {
	versions map[string]string // the highest resource version written, by kind
	deleted  map[types.UID]deletion
	doubts   []doubt
}

type deletion struct {
	kind string
	key  types.NamespacedName
}

// doubt is a write that may have been carried out.
type doubt struct {
	kind string
	obj  *metav1.PartialObjectMetadata
}

// New makes a memory over the caches of the kinds that are written.
func New(caches map[string]Cache) *Writes {
	return &Writes{caches: caches, owners: map[types.NamespacedName]*pending{}}
}

// Wrote notes that an object was created or changed for an owner. The object is as the API server returned it.
func (w *Writes) Wrote(owner types.NamespacedName, kind string, obj metav1.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.of(owner)
	version := obj.GetResourceVersion()
	if c, err := resourceversion.CompareResourceVersion(version, p.versions[kind]); p.versions[kind] == "" || err == nil && c > 0 {
		p.versions[kind] = version
	}
}

// Deleted notes that an object was deleted for an owner.
func (w *Writes) Deleted(owner types.NamespacedName, kind string, obj metav1.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.of(owner).deleted[obj.GetUID()] = deletion{kind, store.Key(obj)}
}

// Doubted notes that a write of an object for an owner may have been carried out: its answer was lost. The object has its
// kind and name, and its UID unless it was to be created.
func (w *Writes) Doubted(owner types.NamespacedName, kind string, obj *metav1.PartialObjectMetadata) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.of(owner)
	p.doubts = append(p.doubts, doubt{kind, obj})
}

// Look reads the metadata of the object with a name from the API server itself, into an object that has its kind.
type Look func(ctx context.Context, key types.NamespacedName, into *metav1.PartialObjectMetadata) error

// Resolve looks up, at the API server itself, what became of an owner's writes in doubt, and notes it. What cannot be
// looked up stays in doubt, and is an error.
func (w *Writes) Resolve(ctx context.Context, owner types.NamespacedName, look Look) error {
	for {
		d, found := w.nextDoubt(owner)
		if !found {
			return nil
		}
		is := &metav1.PartialObjectMetadata{TypeMeta: d.obj.TypeMeta}
		err := look(ctx, store.Key(d.obj), is)
		switch existed := d.obj.UID != ""; {
		case err != nil && !apierrors.IsNotFound(err):
			return fmt.Errorf("look up whether %s %s was written: %w", d.kind, store.Key(d.obj), err)
		case existed && (err != nil || is.UID != d.obj.UID):
			w.Deleted(owner, d.kind, d.obj)
		case err == nil:
			w.Wrote(owner, d.kind, is)
		}
		w.resolved(owner, d)
	}
}

func (w *Writes) nextDoubt(owner types.NamespacedName) (doubt, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.owners[owner]; p != nil && len(p.doubts) > 0 {
		return p.doubts[0], true
	}
	return doubt{}, false
}

func (w *Writes) resolved(owner types.NamespacedName, d doubt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.of(owner)
	p.doubts = slices.DeleteFunc(p.doubts, func(other doubt) bool { return other == d })
}

// Forget drops what is remembered of an owner.
func (w *Writes) Forget(owner types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.owners, owner)
}

// Behind says what the caches do not show yet of an owner's writes; empty when they show everything.
func (w *Writes) Behind(owner types.NamespacedName) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.owners[owner]
	if p == nil {
		return ""
	}
	for _, d := range p.doubts {
		return fmt.Sprintf("whether %s %s was written", d.kind, store.Key(d.obj))
	}
	for kind, version := range p.versions {
		cache := w.caches[kind]
		if c, err := resourceversion.CompareResourceVersion(cache.Version(), version); err != nil || c < 0 {
			return fmt.Sprintf("%s at resource version %s, the cache is at %s", kind, version, cache.Version())
		}
		delete(p.versions, kind)
	}
	for uid, d := range p.deleted {
		if w.caches[d.kind].Lives(d.key, uid) {
			return fmt.Sprintf("the deletion of %s %s", d.kind, d.key)
		}
		delete(p.deleted, uid)
	}
	delete(w.owners, owner)
	return ""
}

func (w *Writes) of(owner types.NamespacedName) *pending {
	p := w.owners[owner]
	if p == nil {
		p = &pending{versions: map[string]string{}, deleted: map[types.UID]deletion{}}
		w.owners[owner] = p
	}
	return p
}
