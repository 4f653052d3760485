package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	"kruise.io/kruise/api/apps/v1beta1"
)

// rule says what is wrong with the pods of a CloneSet at one moment, or "".
type rule func(pods []*corev1.Pod) string

// serving is the rule that at least so many pods serve.
func serving(fewest int) rule {
	return func(pods []*corev1.Pod) string { return within("serve", count(pods, serves), fewest, len(pods)) }
}

// ready is the rule that at least so many pods are ready, whatever is about to happen to them.
func ready(fewest int) rule {
	return func(pods []*corev1.Pod) string {
		return within("are ready", count(pods, func(pod *corev1.Pod) bool {
			return pod.DeletionTimestamp == nil && statusOf(pod, corev1.PodReady) == corev1.ConditionTrue
		}), fewest, len(pods))
	}
}

// existing is the rule that at most so many pods exist.
func existing(most int) rule {
	return func(pods []*corev1.Pod) string {
		return within("exist", count(pods, func(pod *corev1.Pod) bool { return pod.DeletionTimestamp == nil }), 0, most)
	}
}

// changed is the rule that at most so many pods are to run an image.
func changed(tag string, most int) rule {
	return func(pods []*corev1.Pod) string { return within("have "+tag, tags(pods)[tag], 0, most) }
}

func within(do string, pods, fewest, most int) string {
	switch {
	case pods < fewest:
		return fmt.Sprintf("%d pods %s, fewer than %d", pods, do, fewest)
	case pods > most:
		return fmt.Sprintf("%d pods %s, more than %d", pods, do, most)
	default:
		return ""
	}
}

func count(pods []*corev1.Pod, when func(*corev1.Pod) bool) int {
	n := 0
	for _, pod := range pods {
		if when(pod) {
			n++
		}
	}
	return n
}

// serves says whether requests may reach a pod, and nobody is about to take it away.
func serves(pod *corev1.Pod) bool {
	state := pod.Labels[v1beta1.LifecycleStateKey]
	return pod.DeletionTimestamp == nil &&
		statusOf(pod, corev1.PodReady) == corev1.ConditionTrue &&
		statusOf(pod, v1beta1.InPlaceUpdateReady) == corev1.ConditionTrue &&
		(state == "" || state == "Normal")
}

// guard applies rules to the pods of one CloneSet at every event of a watch.
type guard struct {
	set    string
	rules  []rule
	mu     sync.Mutex
	armed  bool
	pods   map[types.UID]*corev1.Pod
	events int
	fewest int // that served
	broken []string
}

// guard begins to watch that rules are kept, which must be so already. The function that it returns ends that and fails the test
// when they were not; so does the end of the test.
func (s *space) guard(set string, rules ...rule) (end func()) {
	s.Helper()
	g := &guard{set: set, rules: rules, pods: map[types.UID]*corev1.Pod{}}
	stop := s.handle(&corev1.Pod{}, toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { g.see(object) },
		UpdateFunc: func(_, object any) { g.see(object) },
		DeleteFunc: func(object any) { g.lose(object) },
	})
	g.arm()
	end = sync.OnceFunc(func() {
		s.Helper()
		stop()
		g.mu.Lock()
		defer g.mu.Unlock()
		s.Logf("%s: at least %d pods served at each of %d events", set, g.fewest, g.events)
		if len(g.broken) > 0 {
			s.Errorf("%s broke a rule at %d of %d events, at first when %s", set, len(g.broken), g.events, g.broken[0])
		}
	})
	s.Cleanup(end)
	return end
}

func (g *guard) arm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed, g.fewest = true, len(g.pods)
	g.check("the beginning")
}

func (g *guard) see(object any) {
	pod, isPod := object.(*corev1.Pod)
	if !isPod || !ownedBy(pod, g.set) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pods[pod.UID] = pod
	g.check(describePod(pod))
}

func (g *guard) lose(object any) {
	if unknown, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	pod, isPod := object.(*corev1.Pod)
	if !isPod {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.pods, pod.UID)
	g.check("gone: " + pod.Name)
}

func (g *guard) check(event string) {
	if !g.armed {
		return
	}
	var pods []*corev1.Pod
	for _, uid := range slices.Sorted(maps.Keys(g.pods)) {
		pods = append(pods, g.pods[uid])
	}
	g.events++
	g.fewest = min(g.fewest, count(pods, serves))
	for _, rule := range g.rules {
		problem := rule(pods)
		if problem == "" {
			continue
		}
		lines := []string{problem + ", after this event: " + event}
		for _, pod := range pods {
			lines = append(lines, "  "+describePod(pod))
		}
		g.broken = append(g.broken, strings.Join(lines, "\n"))
	}
}
