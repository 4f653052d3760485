package restart

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
)

// takeUp is how long kubelet is given to take up new labels and annotations before a container is stopped for them; as times
// are written down in whole seconds, it may be up to one more. Kubelet looks at its containers once a second, on a busy node every
// two, and starts those that have ended from the pod as it was when it began to wait for that look: a container that is stopped in
// between would be started with the old values, and would have to be stopped again.
const takeUp = 3 * time.Second

// Environment is what the runtime says of a container, and with which environment it was started.
type Environment struct {
	Container
	// Attempt counts the containers of the name in the pod.
	Attempt int32
	// PlainHash is kubelet's hash of the container's spec.
	PlainHash uint64
	// Env is the environment; nil, when it is not known.
	Env map[string]string
}

// EnvironmentFacts are what the agent of a node knows of a pod.
type EnvironmentFacts struct {
	Now time.Time
	Pod *corev1.Pod
	// Runtime are the pod's containers by name.
	Runtime map[string]Environment
	// Attempts and Mine are as in Facts.
	Attempts map[string]Attempt
	Mine     map[string]string
}

// EnvironmentPlan is what the agent does for a pod.
type EnvironmentPlan struct {
	// Report is what the pod's annotation is to say.
	Report v1beta1.RuntimeContainerMetaSet
	// Stops are containers to stop: it stands in the annotation that they are.
	Stops []Stop
	// Wake is when to look again; zero for not before something changes.
	Wake time.Time
}

// Renew decides what the agent does for a pod whose containers take labels and annotations into their environment: it reports
// what the environment is and, while the pod is out of service for an update in place, stops those containers that
// were started with other values, with what is promised of every stop. A stop is announced before it begins, so that kubelet
// knows the new values by then; one that is no longer wanted by then is called off.
func Renew(f EnvironmentFacts) EnvironmentPlan {
	var p EnvironmentPlan
	written := map[string]v1beta1.RuntimeContainerMeta{}
	for _, c := range inplace.RuntimeMetaOf(f.Pod).Containers {
		written[c.ContainerID] = c
	}
	for i := range f.Pod.Spec.Containers {
		c := &f.Pod.Spec.Containers[i]
		now, exists := f.Runtime[c.Name]
		if !inplace.TakesIn(c) || !exists {
			continue
		}
		meta := v1beta1.RuntimeContainerMeta{Name: c.Name, ContainerID: now.ID, RestartCount: now.Attempt, StopTime: written[now.ID].StopTime}
		meta.Hashes.PlainHash = now.PlainHash
		if now.Env != nil {
			meta.Hashes.ExtractedEnvFromMetadataHash, _ = inplace.EnvHashOf(c, func(env, _, _ string) string { return now.Env[env] })
		}
		wanted, _ := inplace.EnvHash(c, &f.Pod.ObjectMeta)
		stale := now.Running && now.Env != nil && meta.Hashes.ExtractedEnvFromMetadataHash != wanted
		begun := meta.StopTime != nil && !f.Now.Before(meta.StopTime.Time)
		switch {
		// Also one that the runtime refused: there is nobody to whom a failure would be the end. And also one whose values were
		// taken back: nobody knows whether the runtime ends it already, and a pod out of service waits for the one that follows.
		case begun && (stale || now.Running && updating(f.Pod)):
			if a := f.Attempts[c.Name]; !a.Running && !a.Done {
				p.Stops = append(p.Stops, Stop{Name: c.Name, ID: now.ID, Since: meta.StopTime.Time, Hook: f.Mine[c.Name] == now.ID})
			}
			p.Wake = earlier(p.Wake, f.Now.Add(poll))
		case begun:
		case !stale || !updating(f.Pod):
			meta.StopTime = nil
		case meta.StopTime == nil:
			meta.StopTime = &metav1.Time{Time: f.Now.Add(takeUp + time.Second - 1).Truncate(time.Second)}
		}
		if meta.StopTime != nil && !begun {
			p.Wake = earlier(p.Wake, meta.StopTime.Time)
		}
		if !now.Running || now.Env == nil {
			p.Wake = earlier(p.Wake, f.Now.Add(poll))
		}
		p.Report.Containers = append(p.Report.Containers, meta)
	}
	return p
}

// updating says whether a pod is out of service for an update in place.
func updating(pod *corev1.Pod) bool {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == v1beta1.InPlaceUpdateReady {
			return c.Status == corev1.ConditionFalse
		}
	}
	return false
}

// StopOf is the stop of containers of a pod that nobody made a request for, in the form of one.
func StopOf(pod *corev1.Pod) *Request {
	r := &Request{ObjectMeta: metav1.ObjectMeta{
		Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
		Labels: map[string]string{v1beta1.ContainerRecreateRequestPodUIDKey: string(pod.UID)},
	}}
	r.Spec.PodName = pod.Name
	r.Spec.Strategy = &v1beta1.ContainerRecreateRequestStrategy{TerminationGracePeriodSeconds: pod.Spec.TerminationGracePeriodSeconds}
	for i := range pod.Spec.Containers {
		c := v1beta1.ContainerRecreateRequestContainer{Name: pod.Spec.Containers[i].Name}
		Fill(&c, pod)
		r.Spec.Containers = append(r.Spec.Containers, c)
	}
	return r
}
