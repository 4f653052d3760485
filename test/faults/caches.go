package faults

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
)

// mirror is the cache of one kind in the process under test. It hears of changes only when told to.
type mirror struct {
	kind     string
	informer informer
	table    *table
	// wakes says whether a change is one that the controller is called for. What is gone or was not there is nil.
	wakes func(before, after client.Object) bool
	heard int   // changes of the table's log
	at    int64 // the resource version up to which the cache knows everything
}

// informer is a real informer that is never started: the test feeds its store.
type informer struct {
	toolscache.SharedIndexInformer
	// lies has the store say that it knows everything, whatever it knows.
	lies   bool
	listed func()
}

// GetIndexer implements toolscache.SharedIndexInformer.
func (i informer) GetIndexer() toolscache.Indexer {
	indexer := orderly{i.SharedIndexInformer.GetIndexer(), i.listed}
	if i.lies {
		return liar{indexer}
	}
	return indexer
}

// orderly is an indexer that lists in the order of names, so that equal runs are equal.
type orderly struct {
	toolscache.Indexer
	// listed is called whenever objects are listed by an index.
	listed func()
}

// ByIndex implements toolscache.Indexer.
func (o orderly) ByIndex(index, value string) ([]any, error) {
	o.listed()
	found, err := o.Indexer.ByIndex(index, value)
	slices.SortFunc(found, func(a, b any) int { return strings.Compare(nameOf(a), nameOf(b)) })
	return found, err
}

// liar is an indexer that says that it knows everything.
type liar struct{ orderly }

// LastStoreSyncResourceVersion implements toolscache.Store.
func (liar) LastStoreSyncResourceVersion() string { return "999999999999" }

func nameOf(obj any) string {
	if o, ok := obj.(client.Object); ok {
		return o.GetName()
	}
	return ""
}

func newMirror(kind string, t *table, lies bool, listed func(), wakes func(before, after client.Object) bool) *mirror {
	shared := toolscache.NewSharedIndexInformer(nil, fresh(kind), 0, toolscache.Indexers{})
	return &mirror{kind: kind, table: t, informer: informer{shared, lies, listed}, wakes: wakes}
}

// behind is how many changes the cache has not heard of.
func (c *mirror) behind() int { return len(c.table.log) - c.heard }

// hear lets the cache hear of the next changes, and returns which of them wake the controller.
func (c *mirror) hear(most int) (wakes bool, err error) {
	store := c.informer.GetIndexer()
	for ; most > 0 && c.behind() > 0; most-- {
		change := c.table.log[c.heard]
		obj, ok := change.Object.(client.Object)
		if !ok {
			return wakes, fmt.Errorf("%T is no object", change.Object)
		}
		version := versionOf(obj)
		old, _, err := store.GetByKey(keyOf(obj))
		if err != nil {
			return wakes, err
		}
		if change.Type == watch.Deleted {
			err = store.Delete(obj)
		} else {
			err = store.Update(obj)
		}
		if err != nil {
			return wakes, err
		}
		before, _ := old.(client.Object)
		if change.Type == watch.Deleted {
			obj = nil
		}
		wakes = wakes || c.wakes(before, obj)
		c.heard, c.at = c.heard+1, version
	}
	return wakes, nil
}

// relist fills the cache anew with what is stored now, as after a watch that was lost.
func (c *mirror) relist(version int64) error {
	items := make([]any, 0, len(c.table.objects))
	for _, obj := range c.table.objects {
		items = append(items, obj)
	}
	c.heard, c.at = len(c.table.log), version
	return c.informer.GetIndexer().Replace(items, strconv.FormatInt(version, 10))
}

// awakened says whether a change of an object is one that the controller is called for: with its own it is not called for a
// change of the status.
func awakened(before, after client.Object) bool {
	if before == nil || after == nil || !slices.ContainsFunc(workloads, func(of *kind) bool { return of.name == kindOf(after) }) {
		return true
	}
	return before.GetGeneration() != after.GetGeneration() || fmt.Sprint(before.GetLabels()) != fmt.Sprint(after.GetLabels()) ||
		fmt.Sprint(before.GetAnnotations()) != fmt.Sprint(after.GetAnnotations())
}

func keyOf(obj client.Object) string { return toolscache.MetaObjectToName(obj).String() }

// cached lists what a cache holds.
func cached[T client.Object](c *mirror) []T {
	var out []T
	for _, obj := range c.informer.GetIndexer().List() {
		if o, ok := obj.(T); ok {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b T) int { return strings.Compare(a.GetName(), b.GetName()) })
	return out
}

// host is what a reconciler is made with: the part of a manager that it needs.
type host struct {
	ctrl.Manager
	process *process
}

// GetCache implements ctrl.Manager.
func (h host) GetCache() cache.Cache { return caches{process: h.process} }

// GetClient implements ctrl.Manager.
func (h host) GetClient() client.Client { return h.process.client }

// GetAPIReader implements ctrl.Manager.
func (h host) GetAPIReader() client.Reader { return live{apiClient{process: h.process}} }

// GetScheme implements ctrl.Manager.
func (h host) GetScheme() *runtime.Scheme { return h.process.client.Scheme() }

// GetEventRecorder implements ctrl.Manager.
func (h host) GetEventRecorder(string) recorder.EventRecorder { return eventLog{process: h.process} }

// caches are all caches of a process.
type caches struct {
	cache.Cache
	process *process
}

// GetInformer implements cache.Cache.
func (c caches) GetInformer(_ context.Context, obj client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	m := c.process.mirrors[kindOf(obj)]
	if m == nil {
		return nil, fmt.Errorf("no cache of %T is modelled", obj)
	}
	return m.informer, nil
}

// eventLog takes the events of the controller.
type eventLog struct {
	recorder.EventRecorder
	process *process
}

// Eventf implements events.EventRecorder.
func (r eventLog) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	r.process.machine.event(kind, reason, fmt.Sprintf(note, args...))
}

// clock is what the process under test takes for the time.
type clock struct{ machine *machine }

// Now implements clock.PassiveClock.
func (c clock) Now() time.Time { return c.machine.now() }

// Since implements clock.PassiveClock.
func (c clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// ours says whether the set is the controller of an object.
func ours(obj client.Object, set types.UID) bool {
	ref := metav1.GetControllerOfNoCopy(obj)
	return ref != nil && ref.UID == set
}
