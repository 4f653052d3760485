package nodepodprobe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/slowstart"
	"kruise.io/kruise/plan/probe"
)

// parallel is how many pods of a node are written at a time.
const parallel = 8

// virtualLabel and virtualValue are the label of the nodes of virtual kubelets.
const (
	virtualLabel = "type"
	virtualValue = "virtual-kubelet"
)

// work is one reconcile of one node.
type work struct {
	*Controller
	node    *metav1.PartialObjectMetadata
	is      *v1alpha1.NodePodProbe // nil: there is none
	pods    []*corev1.Pod
	markers map[string][]*v1alpha1.PodProbeMarker // by namespace

	want  []v1alpha1.PodProbe
	marks []mark
}

// mark is what is to be written on a pod.
type mark struct {
	pod   *corev1.Pod
	patch []byte
}

// Observe implements loop.Work.
func (w *work) Observe(context.Context) error {
	w.is, _ = w.probes.Get(types.NamespacedName{Name: w.node.Name})
	pods, err := w.byNode.Of(w.node.Name)
	if err != nil {
		return err
	}
	w.markers = map[string][]*v1alpha1.PodProbeMarker{}
	for _, pod := range pods {
		markers, known := w.markers[pod.Namespace]
		if !known {
			if markers, err = w.Controller.markers.InNamespace(pod.Namespace); err != nil {
				return err
			}
			w.markers[pod.Namespace] = markers
		}
		if len(markers) > 0 {
			w.pods = append(w.pods, pod)
		}
	}
	return nil
}

// Decide implements loop.Work.
func (w *work) Decide(now time.Time) error {
	virtual := w.node.Labels[virtualLabel] == virtualValue
	for _, pod := range w.pods {
		markers := probe.Matching(w.markers[pod.Namespace], pod)
		if len(markers) == 0 || !probe.Probed(pod) {
			continue
		}
		var states map[string]v1alpha1.ContainerProbeState
		switch {
		case !virtual:
			if probed, ok := probe.OfPod(pod, markers); ok {
				w.want = append(w.want, probed)
			}
			if w.is != nil {
				states = probe.States(&w.is.Status, pod)
			}
		case w.serverless:
			states = probe.Reported(pod, markers)
		}
		if patch := probe.Mark(pod, markers, states, now); patch != nil {
			w.marks = append(w.marks, mark{pod, patch})
		}
	}
	probe.Sort(w.want)
	return nil
}

// Act implements loop.Work.
func (w *work) Act(ctx context.Context) error {
	_, err := slowstart.Run(ctx, len(w.marks), slowstart.Limits{First: parallel, Parallel: parallel}, func(ctx context.Context, i int) error {
		return w.write(ctx, w.marks[i])
	})
	return errors.Join(err, w.hand(ctx))
}

// write writes on one pod.
func (w *work) write(ctx context.Context, m mark) error {
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kindPod))
	meta.SetNamespace(m.pod.Namespace)
	meta.SetName(m.pod.Name)
	log.FromContext(ctx).V(1).Info("Mark", "pod", client.ObjectKeyFromObject(m.pod).String())
	err := w.client.Status().Patch(ctx, meta, client.RawPatch(types.StrategicMergePatchType, m.patch))
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mark pod %s: %w", client.ObjectKeyFromObject(m.pod), err)
	}
	w.writes.Wrote(w.key(), kindPod, meta)
	return nil
}

// hand hands the node what it has to probe, where that changed.
func (w *work) hand(ctx context.Context) error {
	owner := metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: w.node.Name, UID: w.node.UID}
	if w.is == nil {
		if len(w.want) == 0 {
			return nil
		}
		created := &v1alpha1.NodePodProbe{Spec: v1alpha1.NodePodProbeSpec{PodProbes: w.want}}
		created.Name, created.OwnerReferences = w.node.Name, []metav1.OwnerReference{owner}
		if err := w.client.Create(ctx, created); err != nil {
			return fmt.Errorf("create NodePodProbe %s: %w", w.node.Name, err)
		}
		w.writes.Wrote(w.key(), kindProbes, created)
		return nil
	}
	owned := len(w.is.OwnerReferences) == 1 && w.is.OwnerReferences[0] == owner
	if w.is.DeletionTimestamp != nil || owned && equality.Semantic.DeepEqual(w.is.Spec.PodProbes, w.want) {
		return nil
	}
	if w.want == nil {
		w.want = []v1alpha1.PodProbe{}
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": w.is.UID, "ownerReferences": []metav1.OwnerReference{owner}},
		"spec":     map[string]any{"podProbes": w.want},
	})
	if err != nil {
		return fmt.Errorf("encode NodePodProbe %s: %w", w.node.Name, err)
	}
	changed := &v1alpha1.NodePodProbe{}
	changed.Name = w.node.Name
	if err := w.client.Patch(ctx, changed, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("patch NodePodProbe %s: %w", w.node.Name, err)
	}
	w.writes.Wrote(w.key(), kindProbes, changed)
	return nil
}

// Report implements loop.Work. A node has no status of ours.
func (w *work) Report(time.Time, error) loop.Report[*metav1.PartialObjectMetadata] {
	return loop.Report[*metav1.PartialObjectMetadata]{Items: len(w.pods)}
}

func (w *work) key() types.NamespacedName { return types.NamespacedName{Name: w.node.Name} }
