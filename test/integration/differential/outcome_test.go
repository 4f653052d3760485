package differential

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// outcome is what users see of a workload.
type outcome struct {
	// Pods are the labels and specs of the pods, without what each controller adds for itself.
	Pods []podView
	// Replicas and those below are the counts of the status.
	Replicas, Updated, Ready, Available int32
	// Observed says whether the status is of the latest spec.
	Observed bool
	// Finished says whether the condition Progressing says that the rollout is complete.
	Finished bool
	// Wanted, Have and Selector are what an autoscaler reads.
	Wanted, Have int32
	Selector     string
}

type podView struct {
	Labels map[string]string
	Spec   corev1.PodSpec
}

// complete says whether a rollout is at its end.
func (o outcome) complete(s spec) bool {
	n := s.replicas
	return o.Observed && o.Finished && len(o.Pods) == int(n) && o.Replicas == n && o.Updated == n && o.Ready == n && o.Available == n
}

func (p *pair) deploymentOutcome() outcome {
	p.Helper()
	d := &appsv1.Deployment{}
	p.Get(web, d)
	s := d.Status
	o := outcome{
		Pods: views(p.podsOf("ReplicaSet")), Replicas: s.Replicas, Updated: s.UpdatedReplicas, Ready: s.ReadyReplicas,
		Available: s.AvailableReplicas, Observed: s.ObservedGeneration == d.Generation,
	}
	for _, c := range s.Conditions {
		if c.Type == appsv1.DeploymentProgressing {
			o.Finished = c.Status == corev1.ConditionTrue && c.Reason == "NewReplicaSetAvailable"
		}
	}
	return p.scaled(d, o)
}

func (p *pair) setOutcome() outcome {
	p.Helper()
	set := &v1beta1.CloneSet{}
	p.Get(web, set)
	s := set.Status
	o := outcome{
		Pods: views(p.podsOf("CloneSet")), Replicas: s.Replicas, Updated: s.UpdatedReplicas, Ready: s.ReadyReplicas,
		Available: s.AvailableReplicas, Observed: s.ObservedGeneration == set.Generation,
	}
	for _, c := range s.Conditions {
		if c.Type == v1beta1.CloneSetConditionTypeProgressing {
			o.Finished = c.Status == corev1.ConditionTrue && c.Reason == v1beta1.CloneSetAvailable
		}
	}
	return p.scaled(set, o)
}

// scaled adds what the subresource scale says.
func (p *pair) scaled(workload client.Object, o outcome) outcome {
	p.Helper()
	scale := &autoscalingv1.Scale{}
	if err := p.API.SubResource("scale").Get(p.Context(), workload, scale); err != nil {
		p.Fatalf("scale of the %T: %v", workload, err)
	}
	o.Wanted, o.Have, o.Selector = scale.Spec.Replicas, scale.Status.Replicas, scale.Status.Selector
	return o
}

// templateGeneration is a label of the pods of native DaemonSets, which counts the changes of the template.
const templateGeneration = "pod-template-generation"

// views shows pods as their template made them.
func views(pods []corev1.Pod) []podView {
	out := []podView{}
	for _, pod := range pods {
		v := podView{Labels: map[string]string{}, Spec: pod.Spec}
		v.Spec.ReadinessGates = nil
		for key, value := range pod.Labels {
			switch {
			case key == appsv1.DefaultDeploymentUniqueLabelKey, key == appsv1.ControllerRevisionHashLabelKey, key == templateGeneration:
			case strings.Contains(key, "apps.kruise.io/"):
			default:
				v.Labels[key] = value
			}
		}
		out = append(out, v)
	}
	return out
}
