package main

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Names of the phases.
const (
	phaseCreate    = "create"
	phaseChangeAll = "change one image, maxUnavailable 100%"
	phaseChange20  = "change one image, maxUnavailable 20%"
	phaseRecreate  = "change one image, maxUnavailable 100%, pods recreated"
	phaseChange    = "change one image"
)

// Programs as processes and as user agents.
const (
	processManager    = "kruise-manager"
	processController = "kube-controller-manager"
	agentBare         = "bare-loop"
)

// workloadTrial has its pods from a workload.
type workloadTrial struct {
	workload
	b    *bench
	pods int
}

// with makes the trials of a workload.
func with(newWorkload func(name string, pods int) workload) func(*bench, int) trial {
	return func(b *bench, pods int) trial {
		return &workloadTrial{workload: newWorkload("scale", pods), b: b, pods: pods}
	}
}

func (t *workloadTrial) component(ctx context.Context) (*component, error) {
	if t.controller == "" {
		return &component{process: processController, pid: t.b.lab.processes[processController], agents: t.agents}, nil
	}
	m, err := startManager(ctx, t.b.lab, t.controller, t.b.profiles != "")
	if err != nil {
		return nil, err
	}
	return &component{process: processManager, pid: m.cmd.Process.Pid, agents: t.agents, manager: m}, nil
}

func (t *workloadTrial) phases() []phase {
	reported := func(ctx context.Context) (bool, error) { return t.b.lab.settled(ctx, t.workload, t.pods) }
	phases := []phase{{name: phaseCreate, image: firstImage, ready: true, reported: reported, act: func(ctx context.Context) error {
		if err := t.b.lab.objects.Create(ctx, t.object); err != nil {
			return fmt.Errorf("creating the %T: %w", t.object, err)
		}
		return nil
	}}}
	for i, c := range t.changes {
		image := []string{secondImage, thirdImage}[i]
		phases = append(phases, phase{name: c.phase, image: image, ready: true, reported: reported, act: func(ctx context.Context) error {
			return t.change(ctx, c, image)
		}})
	}
	return phases
}

func (t *workloadTrial) change(ctx context.Context, c change, image string) error {
	before, ok := t.object.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("the copy of a %T is none", t.object)
	}
	t.template.Spec.Containers[0].Image = image
	if c.prepare != nil {
		c.prepare()
	}
	if err := t.b.lab.objects.Patch(ctx, t.object, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("changing the %T: %w", t.object, err)
	}
	return nil
}

func (t *workloadTrial) remove(ctx context.Context) error { return t.b.lab.remove(ctx, t.object) }

// settled says whether a workload reports that all its pods are updated and available.
func (l *lab) settled(ctx context.Context, w workload, pods int) (bool, error) {
	now := &unstructured.Unstructured{}
	kind, err := l.objects.GroupVersionKindFor(w.object)
	if err != nil {
		return false, err
	}
	now.SetGroupVersionKind(kind)
	if err := l.objects.Get(ctx, client.ObjectKeyFromObject(w.object), now); err != nil {
		return false, err
	}
	if seen, _, err := unstructured.NestedInt64(now.Object, "status", "observedGeneration"); err != nil || seen != now.GetGeneration() {
		return false, err
	}
	for _, field := range w.counts {
		if n, _, err := unstructured.NestedInt64(now.Object, "status", field); err != nil || n != int64(pods) {
			return false, err
		}
	}
	return true, nil
}

// remove deletes a workload; its pods go with it.
func (l *lab) remove(ctx context.Context, object client.Object) error {
	err := l.objects.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationForeground))
	if err != nil {
		return fmt.Errorf("deleting %s: %w", object.GetName(), err)
	}
	err = poll(ctx, func(ctx context.Context) (bool, error) {
		err := l.objects.Get(ctx, client.ObjectKeyFromObject(object), object)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	if err != nil {
		return fmt.Errorf("waiting until %s is gone: %w", object.GetName(), err)
	}
	return nil
}
