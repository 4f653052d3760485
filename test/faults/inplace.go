package faults

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
)

// tier is a label and an annotation that containers may take into their environment.
const tier = "tier"

// podTemplate draws what pods are made from: one container or two, which may start in an order, take a label or an annotation into
// their environment, and ask for cpu.
func (g generator) podTemplate() corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{}
	t.Labels, t.Annotations = map[string]string{"app": "web", tier: "silver"}, map[string]string{tier: "silver"}
	t.Spec.Containers = []corev1.Container{{Name: "main", Image: "main:1"}}
	if g.IntN(2) == 0 {
		t.Spec.Containers = append(t.Spec.Containers, corev1.Container{Name: "side", Image: "side:1"})
	}
	order := g.IntN(3)
	if order == 0 {
		t.Annotations[v1beta1.ContainerLaunchPriorityKey] = v1beta1.ContainerLaunchOrdered
	}
	for i := range t.Spec.Containers {
		c := &t.Spec.Containers[i]
		if order == 1 { // the sidecar goes first
			c.Env = append(c.Env, corev1.EnvVar{Name: v1beta1.ContainerLaunchPriorityEnv, Value: fmt.Sprint(i)})
		}
		if g.IntN(2) == 0 {
			from := &corev1.ObjectFieldSelector{FieldPath: fmt.Sprintf("metadata.%s['%s']", pick(g, "labels", "annotations"), tier)}
			c.Env = append(c.Env, corev1.EnvVar{Name: "TIER", ValueFrom: &corev1.EnvVarSource{FieldRef: from}})
		}
		if g.IntN(2) == 0 {
			c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
			if g.IntN(3) == 0 {
				c.ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.RestartContainer}}
			}
		}
	}
	return t
}

// simplerTemplates are parts of a pod template that may have nothing to do with a failure.
var simplerTemplates = []func(*corev1.PodTemplateSpec){
	func(t *corev1.PodTemplateSpec) { t.Annotations = nil },
	func(t *corev1.PodTemplateSpec) { t.Labels = map[string]string{"app": "web"} },
	func(t *corev1.PodTemplateSpec) { t.Spec.Containers = t.Spec.Containers[:1] },
	everyContainer(func(c *corev1.Container) { c.Env = nil }),
	everyContainer(func(c *corev1.Container) { c.ResizePolicy = nil }),
	everyContainer(func(c *corev1.Container) { c.Resources, c.ResizePolicy = corev1.ResourceRequirements{}, nil }),
}

func everyContainer(simplify func(*corev1.Container)) func(*corev1.PodTemplateSpec) {
	return func(t *corev1.PodTemplateSpec) {
		for i := range t.Spec.Containers {
			simplify(&t.Spec.Containers[i])
		}
	}
}

// templateChange draws a change of a template of which much can be made in place.
func (g generator) templateChange() string {
	some := func(what string, values ...string) string {
		main, side := "main="+what+pick(g, values...), "side="+what+pick(g, values...)
		return pick(g, main, side, main+" "+side, main+" "+side, main+" "+side)
	}
	switch g.IntN(8) {
	case 0, 1, 2:
		return "cpu " + some("", "1", "2", "3")
	case 3, 4:
		return fmt.Sprintf(`patch {"template":{"metadata":{"labels":{"tier":%q},"annotations":{"tier":%q}}}}`, pick(g, "silver", "gold"), pick(g, "silver", "gold"))
	case 5:
		return "resizes " + pick(g, corev1.PodReasonDeferred, corev1.PodReasonInfeasible, atOnce, atOnce)
	default:
		return fmt.Sprintf("image main=main:%d side=side:%d", 1+g.IntN(3), 1+g.IntN(2))
	}
}

// atOnce is how kubelets resize that have nothing against it.
const atOnce = "AtOnce"

// doTemplate changes the pod template of the workload, or how kubelets resize.
func (m *machine) doTemplate(verb, rest string) error {
	switch verb {
	case "resizes":
		m.faults++
		if m.world.Resize = rest; rest == atOnce {
			m.world.Resize = ""
		}
		clear(m.steady)
		return nil
	default:
		return m.changeSet(func(set client.Object) error {
			for change := range strings.FieldsSeq(rest) {
				name, value, _ := strings.Cut(change, "=")
				if err := changeContainer(m.kind.containerOf(set, name), verb, value); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// changeContainer gives a container another image, or another request of cpu if it has one.
func changeContainer(c *corev1.Container, what, value string) error {
	switch {
	case c == nil:
	case what == "image":
		c.Image = value
	case c.Resources.Requests != nil:
		cpu, err := resource.ParseQuantity(value)
		c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: cpu}
		return err
	}
	return nil
}

// checkServing checks that a pod in service runs what it should, after its controller wrote it or its kubelet looked at it.
func (m *machine) checkServing(pod *corev1.Pod) {
	if pod == nil || m.kind.guests || pod.DeletionTimestamp != nil {
		return
	}
	m.order.Look(m.world, pod)
	serves := gate(pod) == corev1.ConditionTrue && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	if serves {
		m.must(story.CheckServing(m.world, pod))
	}
}

// checkResized checks that no more pods of the newest revision that serve are resized at a time than may be broken. It is asked when
// a pod was brought to a revision.
func (m *machine) checkResized(v *view, r *request, after *corev1.Pod) {
	if v.wanted.perNode != nil || !v.isNew(revisionOf(after)) {
		return
	}
	resized := 0
	for uid, known := range v.pods {
		pod := m.pod(known.Name)
		serves := known.Active() && known.Available && v.selected[uid] && !v.doomed(known) && known.State != lifecycle.PreparingDelete
		if !serves || pod == nil || pod.UID != uid || m.ledger.taken[uid] > v.at || m.ledger.deleted[uid] > v.at || m.ledger.moved[uid] > v.at {
			continue
		}
		if v.isNew(revisionOf(pod)) && m.isResized(v, pod) {
			resized++
		}
	}
	is := m.count(v)
	limit := max(v.wanted.replicas-v.wanted.floor+max(is.active-v.wanted.replicas, 0), 1)
	if m.isResized(v, after) && resized > limit {
		m.brokenf("%s has %d pods resized at a time, at most %d may be", r, resized, limit)
	}
}

// isResized says whether kubelet has yet to give a pod what the newest template asks for.
func (m *machine) isResized(v *view, pod *corev1.Pod) bool {
	return slices.ContainsFunc(m.kind.template(v.set).Spec.Containers, func(c corev1.Container) bool {
		status := inplace.StatusOf(pod, c.Name)
		return status != nil && status.Resources != nil && status.Resources.Requests.Cpu().Cmp(*c.Resources.Requests.Cpu()) != 0
	})
}

// checkRevision checks that a pod is as its revision says, but for what hooks and other people change of it.
func (m *machine) checkRevision(v *view, pod *corev1.Pod) {
	template, err := v.template(revisionOf(pod))
	if err != nil {
		return // the history is checked elsewhere
	}
	template = template.DeepCopy()
	for key := range template.Labels {
		if key == "app" || strings.HasPrefix(key, "hold/") {
			delete(template.Labels, key)
		}
	}
	if err := story.CheckTemplate(pod, template); err != nil {
		m.brokenf("in the end %w", err)
	}
}
