package podunavailablebudget

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/test/integration/apiserver"
)

// mortal is a replica's way to the API server. Once it is told to, it keeps to itself that permissions were stored, so that the
// replica never gives them: the first time that there are several, or one after some that it let pass. Once the replica is dead, nothing
// passes.
type mortal struct {
	dead chan struct{}

	mu     sync.Mutex
	passes int      // how many single ones it lets pass; less than 0: all
	stored []string // the pods whose permission is kept
	lost   []string // those of them for which nobody asks any more
}

// over is a way to the API server over another one.
func (m *mortal) over(next http.RoundTripper) http.RoundTripper { return &line{mortal: m, next: next} }

type line struct {
	*mortal
	next http.RoundTripper
}

var errDead = errors.New("the replica is dead")

// RoundTrip implements http.RoundTripper.
func (l *line) RoundTrip(request *http.Request) (*http.Response, error) {
	select {
	case <-l.dead:
		return nil, errDead
	default:
	}
	pods, err := permitted(request)
	if err != nil {
		return nil, err
	}
	response, err := l.next.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusOK || !l.keep(pods) {
		return response, err
	}
	response.Body.Close()
	<-l.dead // however long it takes: it hangs, and dies
	return nil, errDead
}

// permitted are the pods that a request permits to go.
func permitted(request *http.Request) (pods []string, err error) {
	if request.Method != http.MethodPatch || !strings.HasSuffix(request.URL.Path, "/web/status") || request.GetBody == nil {
		return nil, nil
	}
	body, err := request.GetBody()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	var patch struct {
		Status struct {
			DisruptedPods map[string]*time.Time `json:"disruptedPods"`
		} `json:"status"`
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&patch); err != nil {
		return nil, err
	}
	for name, at := range patch.Status.DisruptedPods {
		if at != nil { // otherwise the record is taken away
			pods = append(pods, name)
		}
	}
	return pods, nil
}

// keep says whether it is kept that these pods were permitted to go.
func (m *mortal) keep(pods []string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.passes < 0 || len(pods) == 0 {
		return false
	}
	if m.passes > 0 && len(pods) == 1 && len(m.stored) == 0 {
		m.passes--
		return false
	}
	m.stored = append(m.stored, pods...)
	if m.lost == nil {
		m.lost = pods[:(len(pods)+1)/2]
	}
	return true
}

// falter has permissions kept from now on.
func (m *mortal) falter() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passes = 10
}

// kept are the pods whose permission was kept, and those of them for which nobody asks any more.
func (m *mortal) kept() (stored, lost []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.stored), slices.Clone(m.lost)
}

// replica runs one of several managers that the API server calls by their Service.
func replica(t *testing.T, start func(context.Context, func(*manager.Options, *serve.Options)) (*apiserver.Replica, error)) *apiserver.Replica {
	t.Helper()
	r, err := start(context.WithoutCancel(t.Context()), func(m *manager.Options, o *serve.Options) {
		protecting(m, o)
		o.LeaderElection, o.WebhookHost = true, ""
		o.LeaseDuration, o.RenewDeadline = 30*time.Second, 25*time.Second // nobody is to lose the lease to the load
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// leader is who leads the managers; empty for nobody.
func leader(t *testing.T) string {
	t.Helper()
	lease := &coordinationv1.Lease{}
	err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: "kruise-system", Name: manager.Name}, lease)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return ptr.Deref(lease.Spec.HolderIdentity, "")
}

// Two replicas are asked, and the one that leads dies when it has stored permissions that it has not given yet. Of those who waited for
// them, a half is gone with it, and its permissions must come back; the others find theirs at the other replica.
func TestAReplicaThatDiesAmongAThousandEvictionsBreaksNoBudgetAndLosesNoPermission(t *testing.T) {
	const all, mayGo, early, atATime = 1000, 100, 60, 200 // each that waits has a connection of its own, as to every Service
	withoutManager(t)
	dying := &mortal{dead: make(chan struct{}), passes: -1}
	die := sync.OnceFunc(func() { close(dying.dead) })
	mortals := server.As(user)
	mortals.Config.Wrap(dying.over)
	one := replica(t, mortals.RunWebhooks) // as which it serves what does not go by the Service, too
	t.Cleanup(func() {
		die()
		t.Logf("the one that died ended: %v", one.Stop())
	})
	eventually(t, "it leads", func() bool { return leader(t) != "" })
	first := leader(t)
	other := replica(t, server.As(user).RunReplica)
	t.Cleanup(func() {
		if err := other.Stop(); err != nil {
			t.Errorf("the other replica did not stop as it should: %v", err)
		}
	})
	server.Behind(one, other)
	namespace := server.Namespace(t)
	pods := crowd(t, namespace, all)
	b := budget(namespace, mayGo, total(all))
	create(t, b)
	awaitCounts(t, b, all, all, all-mayGo, mayGo)
	asked(t, namespace)

	gaveUp := func(p *corev1.Pod) bool {
		_, lost := dying.kept()
		return slices.Contains(lost, p.Name)
	}
	before, later := &drains{T: t, gaveUp: gaveUp}, &drains{T: t, gaveUp: gaveUp}
	var evictions sync.WaitGroup
	evict := func(d *drains, pods []*corev1.Pod) {
		evictions.Go(func() { _, _ = together(pods, atATime, d.evict) })
	}
	server.Behind() // so that the first is asked on a connection to the one that dies, and the second on one to the other
	server.Behind(one, other)
	dying.falter()
	start := time.Now()
	evict(before, pods[:early])
	eventually(t, "permissions are stored and not given", func() bool { stored, _ := dying.kept(); return len(stored) > 0 })
	eventually(t, "the other replica gives some", func() bool { return before.evicted.Load() > 0 })
	evict(later, pods[early:])
	eventually(t, "it decides about the others, too", func() bool { return later.evicted.Load()+later.refused.Load() > 0 })
	die()
	server.Behind(other)
	evictions.Wait()
	gone := before.evicted.Load() + later.evicted.Load()
	stored, lost := dying.kept()
	t.Logf("%d were evicted in %s, after %d that nobody answered in time; %d permissions were kept, and nobody asked again for %d",
		gone, time.Since(start), before.unanswered.Load()+later.unanswered.Load(), len(stored), len(lost))
	if gone > mayGo {
		t.Errorf("%d pods were evicted, and %d may go", gone, mayGo)
	}
	awaitCounts(t, b, all, int32(all-gone), all-mayGo, int32(mayGo-gone)) // what nothing came of is given back
	eventually(t, "the other replica leads", func() bool { return leader(t) != first })

	last, rest := &drains{T: t}, left(t, namespace)
	_, _ = together(rest, atATime, last.evict)
	if gone += last.evicted.Load(); gone != mayGo {
		t.Errorf("%d pods were evicted, and %d may go", gone, mayGo)
	}
	awaitCounts(t, b, all, all-mayGo, all-mayGo, 0)
	eventually(t, "no permission is noted any more", func() bool {
		return counts(t, b, all, all-mayGo, all-mayGo, 0) && len(b.Status.DisruptedPods) == 0
	})
}

// left are the pods of the app that are there.
func left(t *testing.T, namespace string) (pods []*corev1.Pod) {
	t.Helper()
	list := &corev1.PodList{}
	if err := server.Client.List(t.Context(), list, client.InNamespace(namespace), client.MatchingLabels{"app": "web"}); err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		pods = append(pods, &list.Items[i])
	}
	return pods
}
