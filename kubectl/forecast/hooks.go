package forecast

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/lifecycle"
)

// lift does what the owners of hooks do: it takes the entries off pods that wait for that, and puts them on those that wait
// for the opposite.
func (p *player) lift(hooks *v1beta1.Lifecycle) error {
	if hooks == nil || !p.options.LiftHooks {
		return nil
	}
	for _, pod := range slices.Clone(p.w.Pods) {
		var hook *v1beta1.LifecycleHook
		on := false
		switch lifecycle.State(pod.Labels[v1beta1.LifecycleStateKey]) {
		case lifecycle.PreparingDelete:
			hook = hooks.PreDelete
		case lifecycle.PreparingUpdate:
			hook = hooks.InPlaceUpdate
		case lifecycle.Updated:
			hook, on = hooks.InPlaceUpdate, true
		case lifecycle.PreparingNormal:
			hook, on = hooks.PreNormal, true
		}
		if hook == nil {
			continue
		}
		if err := p.w.Edit(pod.Name, func(m *metav1.ObjectMeta) { lifecycle.Enter(m, hook, on) }); err != nil {
			return err
		}
	}
	return nil
}
