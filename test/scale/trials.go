package main

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Names of the phases.
const (
	phaseCreate    = "create"
	phaseChangeAll = "change one image, maxUnavailable 100%"
	phaseChange20  = "change one image, maxUnavailable 20%"
	phaseChange    = "change one image"
)

// Programs as processes and as user agents.
const (
	processManager    = "kruise-manager"
	processController = "kube-controller-manager"
	agentBare         = "bare-loop"
)

// cloneSetTrial has its pods from a CloneSet.
type cloneSetTrial struct {
	b   *bench
	set *v1beta1.CloneSet
}

func newCloneSetTrial(b *bench, pods int) trial {
	return &cloneSetTrial{b: b, set: newCloneSet("scale", pods)}
}

func (t *cloneSetTrial) component(ctx context.Context) (*component, error) {
	m, err := startManager(ctx, t.b.lab, t.b.profiles != "")
	if err != nil {
		return nil, err
	}
	return &component{process: processManager, pid: m.cmd.Process.Pid, agents: []string{processManager}, manager: m}, nil
}

func (t *cloneSetTrial) phases() []phase {
	reported := func(ctx context.Context) (bool, error) { return settled(ctx, t.b.lab, t.set) }
	change := func(image, maxUnavailable string) func(context.Context) error {
		return func(ctx context.Context) error {
			before := t.set.DeepCopy()
			limit := intstr.FromString(maxUnavailable)
			t.set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = &limit
			t.set.Spec.Template.Spec.Containers[0].Image = image
			if err := t.b.lab.objects.Patch(ctx, t.set, client.MergeFrom(before)); err != nil {
				return fmt.Errorf("changing the CloneSet: %w", err)
			}
			return nil
		}
	}
	return []phase{
		{name: phaseCreate, image: firstImage, ready: true, reported: reported, act: func(ctx context.Context) error {
			if err := t.b.lab.objects.Create(ctx, t.set); err != nil {
				return fmt.Errorf("creating the CloneSet: %w", err)
			}
			return nil
		}},
		{name: phaseChangeAll, image: secondImage, ready: true, reported: reported, act: change(secondImage, "100%")},
		{name: phaseChange20, image: thirdImage, ready: true, reported: reported, act: change(thirdImage, "20%")},
	}
}

func (t *cloneSetTrial) remove(ctx context.Context) error { return t.b.lab.remove(ctx, t.set) }

// deploymentTrial has its pods from a Deployment.
type deploymentTrial struct {
	b          *bench
	deployment *appsv1.Deployment
}

func newDeploymentTrial(b *bench, pods int) trial {
	return &deploymentTrial{b: b, deployment: newDeployment("scale", pods)}
}

func (t *deploymentTrial) component(context.Context) (*component, error) {
	return &component{
		process: processController, pid: t.b.lab.processes[processController],
		agents: []string{"deployment-controller", "replicaset-controller"},
	}, nil
}

func (t *deploymentTrial) phases() []phase {
	return []phase{
		{name: phaseCreate, image: firstImage, ready: true, reported: t.settled, act: func(ctx context.Context) error {
			if err := t.b.lab.objects.Create(ctx, t.deployment); err != nil {
				return fmt.Errorf("creating the Deployment: %w", err)
			}
			return nil
		}},
		{name: phaseChangeAll, image: secondImage, ready: true, reported: t.settled, act: func(ctx context.Context) error {
			before := t.deployment.DeepCopy()
			t.deployment.Spec.Template.Spec.Containers[0].Image = secondImage
			if err := t.b.lab.objects.Patch(ctx, t.deployment, client.MergeFrom(before)); err != nil {
				return fmt.Errorf("changing the Deployment: %w", err)
			}
			return nil
		}},
	}
}

// settled says whether the Deployment reports that all its pods are updated and available.
func (t *deploymentTrial) settled(ctx context.Context) (bool, error) {
	now := &appsv1.Deployment{}
	if err := t.b.lab.objects.Get(ctx, client.ObjectKeyFromObject(t.deployment), now); err != nil {
		return false, err
	}
	wanted := *now.Spec.Replicas
	return now.Status.ObservedGeneration == now.Generation && now.Status.UpdatedReplicas == wanted &&
		now.Status.AvailableReplicas == wanted && now.Status.Replicas == wanted, nil
}

func (t *deploymentTrial) remove(ctx context.Context) error { return t.b.lab.remove(ctx, t.deployment) }
