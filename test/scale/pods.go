package main

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// condition is what a measurement waits to see in a pod.
type condition struct {
	// image is what the container that changes asks for, and running what it runs.
	image, running string
	ready, leaving bool
}

// podWatch follows the pods of a namespace and counts them by their condition.
type podWatch struct {
	mu      sync.Mutex
	pods    map[types.UID]condition
	counts  map[condition]int
	changed chan struct{}
}

// watchPods begins to follow the pods, until the context ends.
func watchPods(ctx context.Context, kube kubernetes.Interface) (*podWatch, error) {
	w := &podWatch{pods: map[types.UID]condition{}, counts: map[condition]int{}, changed: make(chan struct{})}
	_, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(kube.CoreV1().RESTClient(), "pods", namespace, fields.Everything()),
		ObjectType:    &corev1.Pod{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    w.saw,
			UpdateFunc: func(_, obj any) { w.saw(obj) },
			DeleteFunc: w.lost,
		},
	})
	go controller.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
		return nil, fmt.Errorf("watching the pods: %w", ctx.Err())
	}
	return w, nil
}

func (w *podWatch) saw(obj any) {
	if pod, ok := obj.(*corev1.Pod); ok {
		c := conditionOf(pod)
		w.note(pod.UID, &c)
	}
}

func (w *podWatch) lost(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	if pod, ok := obj.(*corev1.Pod); ok {
		w.note(pod.UID, nil)
	}
}

func conditionOf(pod *corev1.Pod) condition {
	c := condition{leaving: pod.DeletionTimestamp != nil}
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == changing {
			c.image = pod.Spec.Containers[i].Image
		}
	}
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.Name == changing && s.State.Running != nil {
			c.running = s.Image
		}
	}
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.PodReady {
			c.ready = pod.Status.Conditions[i].Status == corev1.ConditionTrue
		}
	}
	return c
}

// note takes a pod's new condition, or that it is gone.
func (w *podWatch) note(uid types.UID, now *condition) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, ok := w.pods[uid]; ok {
		if w.counts[before]--; w.counts[before] == 0 {
			delete(w.counts, before)
		}
		delete(w.pods, uid)
	}
	if now != nil {
		w.pods[uid] = *now
		w.counts[*now]++
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// until waits until the n pods that match are all the pods there are.
func (w *podWatch) until(ctx context.Context, n int, match func(condition) bool) error {
	for {
		w.mu.Lock()
		matching, all, changed := 0, len(w.pods), w.changed
		for c, count := range w.counts {
			if match(c) {
				matching += count
			}
		}
		w.mu.Unlock()
		if matching == n && all == n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d pods: %d of %d are as they should be: %w", n, matching, all, context.Cause(ctx))
		case <-changed:
		}
	}
}

// available matches pods that run an image and are ready.
func available(image string) func(condition) bool {
	return func(c condition) bool { return c.image == image && c.running == image && c.ready && !c.leaving }
}
