package differential

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
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
	// Progress is what the condition Progressing says.
	Progress progress
	// History are the looks of the templates that are kept, the newest last.
	History []look
	// Wanted, Have and Selector are what an autoscaler reads.
	Wanted, Have int32
	Selector     string
}

type podView struct {
	Labels, Annotations map[string]string
	Spec                corev1.PodSpec
}

// progress is what a condition says in words of its own.
type progress string

const (
	goingOn  progress = "it goes on"
	complete progress = "it is complete"
	paused   progress = "it is paused"
	late     progress = "it is late"
)

// complete says whether a rollout is at its end.
func (o outcome) complete(s spec) bool {
	n := s.replicas
	return o.Observed && o.Progress == complete && len(o.Pods) == int(n) && o.Replicas == n && o.Updated == n && o.Ready == n && o.Available == n
}

func (p *pair) deploymentOutcome() outcome {
	p.Helper()
	d := &appsv1.Deployment{}
	p.Get(web, d)
	s := d.Status
	o := outcome{
		Pods: views(p.podsOf("ReplicaSet")), Replicas: s.Replicas, Updated: s.UpdatedReplicas, Ready: s.ReadyReplicas,
		Available: s.AvailableReplicas, Observed: s.ObservedGeneration == d.Generation, Progress: goingOn,
	}
	says := map[string]progress{"True NewReplicaSetAvailable": complete, "Unknown DeploymentPaused": paused, "False ProgressDeadlineExceeded": late}
	for _, c := range s.Conditions {
		if word, known := says[string(c.Status)+" "+c.Reason]; known && c.Type == appsv1.DeploymentProgressing {
			o.Progress = word
		}
	}
	o.History = p.replicaSetLooks()
	return p.scaled(d, o)
}

func (p *pair) setOutcome() outcome {
	p.Helper()
	set := &v1beta1.CloneSet{}
	p.Get(web, set)
	s := set.Status
	o := outcome{
		Pods: views(p.podsOf("CloneSet")), Replicas: s.Replicas, Updated: s.UpdatedReplicas, Ready: s.ReadyReplicas,
		Available: s.AvailableReplicas, Observed: s.ObservedGeneration == set.Generation, Progress: goingOn,
	}
	says := map[string]progress{
		"True " + v1beta1.CloneSetAvailable: complete, "True " + v1beta1.CloneSetPaused: paused, "False " + v1beta1.CloneSetProgressDeadlineExceeded: late,
	}
	for _, c := range s.Conditions {
		if word, known := says[string(c.Status)+" "+c.Reason]; known && c.Type == v1beta1.CloneSetConditionTypeProgressing {
			o.Progress = word
		}
	}
	o.History = p.revisionLooks()
	return p.scaled(set, o)
}

// replicaSetLooks are the looks of the Deployment's ReplicaSets, the newest revision last.
func (p *pair) replicaSetLooks() []look {
	p.Helper()
	list := &appsv1.ReplicaSetList{}
	if err := p.API.List(p.Context(), list, client.InNamespace(p.Namespace)); err != nil {
		p.Fatal(err)
	}
	number := func(rs *appsv1.ReplicaSet) int {
		n, err := strconv.Atoi(rs.Annotations["deployment.kubernetes.io/revision"])
		if err != nil {
			return 0 // it is about to get one
		}
		return n
	}
	slices.SortFunc(list.Items, func(a, b appsv1.ReplicaSet) int { return cmp.Compare(number(&a), number(&b)) })
	looks := []look{}
	for i := range list.Items {
		looks = append(looks, lookOf(&list.Items[i].Spec.Template))
	}
	return looks
}

// revisionLooks are the looks of the CloneSet's revisions, the newest last.
func (p *pair) revisionLooks() []look {
	p.Helper()
	list := &appsv1.ControllerRevisionList{}
	if err := p.API.List(p.Context(), list, client.InNamespace(p.Namespace)); err != nil {
		p.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b appsv1.ControllerRevision) int { return cmp.Compare(a.Revision, b.Revision) })
	looks := []look{}
	for _, r := range list.Items {
		var data struct {
			Spec struct {
				Template corev1.PodTemplateSpec `json:"template"`
			} `json:"spec"`
		}
		if err := json.Unmarshal(r.Data.Raw, &data); err != nil {
			p.Fatalf("revision %s: %v", r.Name, err)
		}
		looks = append(looks, lookOf(&data.Spec.Template))
	}
	return looks
}

func lookOf(t *corev1.PodTemplateSpec) look {
	main := t.Spec.Containers[0]
	return look{image: main.Image, env: main.Env[0].Value, track: t.Labels["track"], note: t.Annotations["note"]}
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
		v := podView{Labels: map[string]string{}, Annotations: map[string]string{}, Spec: pod.Spec}
		v.Spec.ReadinessGates = nil
		for key, value := range pod.Labels {
			switch {
			case key == appsv1.DefaultDeploymentUniqueLabelKey, key == appsv1.ControllerRevisionHashLabelKey, key == templateGeneration:
			case strings.Contains(key, "apps.kruise.io/"):
			default:
				v.Labels[key] = value
			}
		}
		for key, value := range pod.Annotations {
			if !strings.Contains(key, "apps.kruise.io/") {
				v.Annotations[key] = value
			}
		}
		out = append(out, v)
	}
	return out
}
