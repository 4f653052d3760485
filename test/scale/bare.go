package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"golang.org/x/sync/errgroup"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
)

// writers is how many requests the bare loop has under way.
const writers = 32

// bareTrial sends a CloneSet's writes for each pod, byte by byte the same, one after the other and whatever becomes of
// them. It is the floor: no controller that writes as much can be faster.
type bareTrial struct {
	b    *bench
	n    int
	runs bool // whether the pods are scheduled and run

	pods []*corev1.Pod
}

func newBareTrial(b *bench, n int, runs bool) trial { return &bareTrial{b: b, n: n, runs: runs} }

func (t *bareTrial) component(context.Context) (*component, error) {
	return &component{agents: []string{agentBare}}, nil
}

func (t *bareTrial) api() typedcorev1.PodInterface { return t.b.lab.bare.CoreV1().Pods(namespace) }

func (t *bareTrial) phases() []phase {
	return []phase{
		{name: phaseCreate, image: firstImage, ready: t.runs, act: t.create},
		{name: phaseChange, image: secondImage, ready: t.runs, before: t.list, act: t.change},
	}
}

func (t *bareTrial) create(ctx context.Context) error {
	return t.each(t.n, func(i int) error {
		pod := newBarePod(fmt.Sprintf("bare-%05d", i))
		if !t.runs {
			pod.Spec.SchedulerName = "nobody"
		}
		created, err := t.api().Create(ctx, pod, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("creating pod %s: %w", pod.Name, err)
		}
		return t.patch(ctx, created, inplace.Open(created, time.Now()))
	})
}

// newBarePod is a pod as a CloneSet makes it, without an owner.
func newBarePod(name string) *corev1.Pod {
	template := newTemplate("bare", firstImage)
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.Name = name
	podset.Prepare(pod, "bare-1", "1", nil, v1beta1.InPlaceUpdateReady, v1beta1.KruisePodReadyConditionType)
	return pod
}

// list reads the pods, which the loop itself never does.
func (t *bareTrial) list(ctx context.Context) error {
	list, err := t.b.lab.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing the pods: %w", err)
	}
	t.pods = nil
	for i := range list.Items {
		t.pods = append(t.pods, &list.Items[i])
	}
	return nil
}

func (t *bareTrial) change(ctx context.Context) error {
	template := newTemplate("bare", secondImage)
	target := inplace.Target{
		Revision: "bare-2", Hash: "2", Template: &template,
		Change: inplace.Change{Images: map[string]string{changing: secondImage}},
	}
	return t.each(len(t.pods), func(i int) error {
		pod, now := t.pods[i], time.Now()
		patches, err := inplace.Begin(pod, target, now)
		if err != nil {
			return fmt.Errorf("changing pod %s: %w", pod.Name, err)
		}
		if err := t.patch(ctx, pod, patches); err != nil {
			return err
		}
		return t.patch(ctx, pod, inplace.Settle(updating(pod), lifecycle.Normal, "2", now))
	})
}

// updating is the pod as it is once its update has begun.
func updating(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Labels[v1beta1.LifecycleStateKey] = string(lifecycle.Updating)
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == v1beta1.InPlaceUpdateReady {
			pod.Status.Conditions[i].Status = corev1.ConditionFalse
		}
	}
	return pod
}

func (t *bareTrial) patch(ctx context.Context, pod *corev1.Pod, patches inplace.Patches) error {
	for _, p := range []struct {
		body        []byte
		subresource []string
	}{{patches.Status, []string{"status"}}, {patches.Pod, nil}} {
		if p.body == nil {
			continue
		}
		if _, err := t.api().Patch(ctx, pod.Name, types.StrategicMergePatchType, p.body, metav1.PatchOptions{}, p.subresource...); err != nil {
			return fmt.Errorf("patching pod %s: %w", pod.Name, err)
		}
	}
	return nil
}

// each does something n times, with so many at a time as there are writers.
func (t *bareTrial) each(n int, do func(i int) error) error {
	var group errgroup.Group
	group.SetLimit(writers)
	for i := range n {
		group.Go(func() error { return do(i) })
	}
	return group.Wait()
}

func (t *bareTrial) remove(ctx context.Context) error {
	if err := t.api().DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return fmt.Errorf("deleting the pods: %w", err)
	}
	return nil
}
