package faults

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/readiness"
	"kruise.io/kruise/plan/replica"
)

// stranger is who else keeps pods out of service.
const stranger = "Stranger"

// entryPrefix begins every entry of a hook.
const entryPrefix = "hold/"

// hooks draws hooks.
func (g generator) hooks(template *corev1.PodTemplateSpec) *v1beta1.Lifecycle {
	if g.IntN(2) == 0 {
		return nil
	}
	return &v1beta1.Lifecycle{
		PreDelete: g.hook("preDelete", template), InPlaceUpdate: g.hook("inPlaceUpdate", template), PreNormal: g.hook("preNormal", template),
	}
}

// hook draws a hook, which may hold every pod from its creation on, and keep it out of service while it is waited for.
func (g generator) hook(name string, template *corev1.PodTemplateSpec) *v1beta1.LifecycleHook {
	if g.IntN(2) > 0 {
		return nil
	}
	goesFirst := name != "preNormal"
	hook := &v1beta1.LifecycleHook{MarkPodNotReady: goesFirst && g.IntN(2) == 0}
	if entry := entryPrefix + name; g.IntN(3) == 0 {
		hook.FinalizersHandler = []string{entry}
	} else {
		hook.LabelsHandler = map[string]string{entry: "yes"}
	}
	if goesFirst && g.IntN(4) > 0 {
		lifecycle.Enter(&template.ObjectMeta, hook, true)
	}
	return hook
}

// marks says whether hooks of a set keep pods out of service.
func (k *kind) marks(set client.Object) bool {
	if k.hooks == nil || k.hooks(set) == nil {
		return false
	}
	hooks := k.hooks(set)
	return slices.ContainsFunc([]*v1beta1.LifecycleHook{hooks.PreDelete, hooks.InPlaceUpdate}, func(hook *v1beta1.LifecycleHook) bool {
		return hook != nil && hook.MarkPodNotReady
	})
}

// hold draws that somebody else keeps a pod out of service, or lets it go.
func (g generator) hold() string {
	return pick(g, "hold ", "hold ", "let-go ") + g.somePod() + " " + pick(g, "one", "two")
}

// crossing draws that somebody else keeps pods out of service while the controller has not heard of it and moves pods to their
// hooks, or into service again.
func (g generator) crossing() []string {
	lines := []string{"go 3s", pick(g, g.resize(4), g.kind.image(g), g.kind.image(g))}
	if g.IntN(2) == 0 {
		lines = append(lines, pick(g, "go 1s", "go 2s"), "hooks", "go "+pick(g, "1s", "2s", "3s"), "tick 1s")
	}
	lines = append(lines, "hear all", "freeze "+kindPod)
	for pod := range 1 + g.IntN(3) {
		lines = append(lines, fmt.Sprintf("hold #%d %s", pod, pick(g, "one", "two")))
	}
	return append(lines, "go 1s", "thaw "+kindPod)
}

// hooks lets whoever is behind the hooks do what the states of the pods ask for: entries come off pods that wait for that, and
// onto those that wait for the opposite. What is being deleted is let go of.
func (m *machine) hooks() {
	hooks := &v1beta1.Lifecycle{}
	if m.kind.hooks != nil && m.kind.hooks(m.first) != nil {
		hooks = m.kind.hooks(m.first)
	}
	isEntry := func(finalizer string) bool { return strings.HasPrefix(finalizer, entryPrefix) }
	for _, pod := range slices.Clone(m.world.Pods) {
		if pod.DeletionTimestamp != nil {
			if slices.ContainsFunc(pod.Finalizers, isEntry) {
				m.edit(pod, func(meta *metav1.ObjectMeta) { meta.Finalizers = slices.DeleteFunc(meta.Finalizers, isEntry) })
			}
			continue
		}
		switch stateOf(pod) {
		case lifecycle.PreparingDelete:
			m.enter(pod, hooks.PreDelete, false)
		case lifecycle.PreparingUpdate:
			m.enter(pod, hooks.InPlaceUpdate, false)
		case lifecycle.Updated:
			m.enter(pod, hooks.InPlaceUpdate, true)
		case lifecycle.PreparingNormal:
			m.enter(pod, hooks.PreNormal, true)
		}
	}
}

// enter puts the entries of a hook on a pod, or takes them off, where that changes anything.
func (m *machine) enter(pod *corev1.Pod, hook *v1beta1.LifecycleHook, on bool) {
	if hook == nil {
		return
	}
	entries := lifecycle.HoldsOf(&v1beta1.Lifecycle{InPlaceUpdate: hook}, pod)
	if on && !entries.UpdateComplete || !on && entries.Update {
		m.edit(pod, func(meta *metav1.ObjectMeta) { lifecycle.Enter(meta, hook, on) })
	}
}

// keepOut has somebody else keep a pod out of service by its readiness gate, or let it go. Whoever creates a pod opens its gate at
// once: before that nobody else has a say.
func (m *machine) keepOut(pod *corev1.Pod, key string, out bool) error {
	opened := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == v1beta1.KruisePodReadyConditionType })
	if !opened {
		return nil
	}
	patch := inplace.Release
	if out {
		patch = inplace.Hold
	}
	var err error
	if body := patch(pod, readiness.Hold{UserAgent: stranger, Key: key}, m.world.Now); body != nil {
		err = m.world.PatchStatus(pod.Name, body)
	}
	m.absorb()
	return err
}

// holdsOn are the holds by which a pod is kept out of service: those of its hooks, and those of others.
func holdsOn(pod *corev1.Pod) (ours, others []string) {
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type != v1beta1.KruisePodReadyConditionType || c.Status != corev1.ConditionFalse {
			continue
		}
		var holds []struct{ UserAgent, Key string }
		if err := json.Unmarshal([]byte(c.Message), &holds); err != nil {
			others = append(others, c.Message)
		}
		for _, h := range holds {
			if h.UserAgent == readiness.LifecycleAgent {
				ours = append(ours, h.Key)
			} else {
				others = append(others, h.UserAgent+" "+h.Key)
			}
		}
	}
	slices.Sort(others)
	return ours, others
}

// checkHolds checks that a write of a pod leaves the holds of others as they are, and keeps a pod out of service from when it
// waits for a hook that asks for it.
func (m *machine) checkHolds(v *view, r *request, before, after *corev1.Pod) {
	_, was := holdsOn(before)
	ours, is := holdsOn(after)
	if !slices.Equal(was, is) {
		m.brokenf("%s: others held the pod out of service with %q, and it leaves %q", r, was, is)
	}
	hooks := v.wanted.facts.Hooks
	if hooks == nil || stateOf(before) == stateOf(after) || !inplace.HasGate(after, v1beta1.KruisePodReadyConditionType) {
		return
	}
	waits := map[lifecycle.State]*v1beta1.LifecycleHook{lifecycle.PreparingDelete: hooks.PreDelete, lifecycle.PreparingUpdate: hooks.InPlaceUpdate}
	if hook := waits[stateOf(after)]; hook != nil && hook.MarkPodNotReady && len(ours) == 0 {
		m.brokenf("%s: the pod waits for its hook, and is not taken out of service", r)
	}
}

// checkState checks that a pod goes on in its life cycle by a line of the table, from what was known of it. after is nil when the
// pod is gone.
func (m *machine) checkState(v *view, r *request, known *replica.Replica, before, after *corev1.Pod) {
	to := lifecycle.Absent
	if after != nil && after.DeletionTimestamp == nil {
		to = stateOf(after)
	}
	if to == stateOf(before) || before.DeletionTimestamp != nil || !known.Active() {
		return
	}
	_, err := story.LineTo(known, to, v.isNew(known.Revision),
		lifecycle.ByItself, lifecycle.Update, lifecycle.PutBack, lifecycle.Remove, lifecycle.TakeBack)
	if err != nil {
		m.brokenf("%s: %w", r, err)
	}
}

// letGo ends what keeps pods out of service and is none of ours.
func (m *machine) letGo() {
	for _, pod := range list[*corev1.Pod](m.server, kindPod) {
		for _, key := range []string{"one", "two"} {
			m.must(m.keepOut(m.pod(pod.Name), key, false))
		}
	}
}
