package images

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// giveUp calls those tasks failed that their node does not end in time.
func (p *planner) giveUp(names []string) {
	for _, name := range names {
		tags := p.Image.Spec.Images[name].Tags
		for i := range tags {
			task, ref := &tags[i], Ref{name, tags[i].Tag}
			status := statusOf(p.Image, ref)
			if task.CreatedAt == nil || stateOf(task, status).Final() {
				continue
			}
			at, why := limit(task, status, p.busy, p.sign)
			switch {
			case at.IsZero():
			case at.After(p.now):
				p.wake(at)
			default:
				p.fail(task, ref, why)
			}
		}
	}
	if p.plan.Status != nil {
		Count(p.plan.Status, &p.Image.Spec)
	}
}

func (p *planner) fail(task *v1beta1.ImageTagSpec, ref Ref, why string) {
	p.plan.Failures = append(p.plan.Failures, Failure{Ref: ref, Owners: task.OwnerReferences, Message: why})
	if p.plan.Status == nil {
		p.plan.Status = p.Image.Status.DeepCopy()
	}
	failed := v1beta1.ImageTagStatus{
		Tag: ref.Tag, Phase: v1beta1.ImagePhaseFailed, Version: task.Version, Message: why,
		CompletionTime: &metav1.Time{Time: p.now},
	}
	if status := statusOf(p.Image, ref); status != nil && status.Version == task.Version {
		failed.StartTime = status.StartTime
	}
	SetStatus(p.plan.Status, ref.Name, failed)
}

// SetStatus puts the state of a tag into a status, which then is in need of a new Count.
func SetStatus(status *v1beta1.NodeImageStatus, name string, tag v1beta1.ImageTagStatus) {
	if status.ImageStatuses == nil {
		status.ImageStatuses = map[string]v1beta1.ImageStatus{}
	}
	image := status.ImageStatuses[name]
	for i := range image.Tags {
		if image.Tags[i].Tag == tag.Tag {
			image.Tags[i] = tag
			return
		}
	}
	image.Tags = append(image.Tags, tag)
	status.ImageStatuses[name] = image
}

// Count counts the tasks of a NodeImage by their state. What no state is known of waits.
func Count(status *v1beta1.NodeImageStatus, spec *v1beta1.NodeImageSpec) {
	status.Desired, status.Succeeded, status.Failed, status.Pulling, status.Waiting = 0, 0, 0, 0, 0
	said := &v1beta1.NodeImage{Status: *status}
	for name, image := range spec.Images {
		for i := range image.Tags {
			status.Desired++
			s := statusOf(said, Ref{name, image.Tags[i].Tag})
			switch state := stateOf(&image.Tags[i], s); {
			case state == Succeeded:
				status.Succeeded++
			case state == Failed:
				status.Failed++
			case s != nil && s.Version == image.Tags[i].Version && s.Phase == v1beta1.ImagePhasePulling:
				status.Pulling++
			default:
				status.Waiting++
			}
		}
	}
}
