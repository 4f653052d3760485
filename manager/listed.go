package manager

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/plan/affinity"
)

// +kubebuilder:rbac:groups="",namespace=kruise-system,resources=configmaps,resourceNames=kruise-configuration,verbs=get

// listed are the kinds of workloads besides StatefulSets whose pods are to return to their nodes: those of the cluster's
// configuration that the API server serves and lets the manager read. The others are left out, with a line in the log: the
// manager must not fail for what somebody listed. Those that are not served are returned apart. The list is read when the
// manager starts.
func listed(ctx context.Context, mgr ctrl.Manager, place serve.Place) (kinds affinity.Kinds, missing []schema.GroupVersionKind, err error) {
	const key = v1beta1.PersistentPodStateWorkloadsKey
	logger := log.FromContext(ctx).WithValues("configMap", place.Namespace+"/"+v1beta1.ConfigurationName, "key", key)
	configuration := &corev1.ConfigMap{}
	err = mgr.GetAPIReader().Get(ctx, client.ObjectKey{Namespace: place.Namespace, Name: v1beta1.ConfigurationName}, configuration)
	if client.IgnoreNotFound(err) != nil {
		return nil, nil, fmt.Errorf("reading ConfigMap %s/%s: %w", place.Namespace, v1beta1.ConfigurationName, err)
	}
	all, err := affinity.ParseKinds(configuration.Data[key])
	if err != nil {
		logger.Error(err, "No other kinds of workloads are looked at")
		return nil, nil, nil
	}
	for _, kind := range all {
		const skips = "WARNING: workloads of a kind that is listed are not looked at: "
		served, err := serve.IsServed(mgr, kind)
		if err != nil {
			return nil, nil, err
		}
		if !served {
			logger.Info(skips+"the API server does not serve it", "kind", kind.String())
			missing = append(missing, kind)
			continue
		}
		why, err := unreadable(ctx, mgr, place, kind)
		if err != nil {
			return nil, nil, err
		}
		if why != "" {
			logger.Info(skips+why, "kind", kind.String())
			continue
		}
		kinds = append(kinds, kind)
	}
	return kinds, missing, nil
}

// unreadable says why the manager cannot read the objects of a kind; empty where it can.
func unreadable(ctx context.Context, mgr ctrl.Manager, place serve.Place, kind schema.GroupVersionKind) (string, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind)
	err := mgr.GetAPIReader().List(ctx, list, client.InNamespace(place.Only), client.Limit(1))
	if apierrors.IsForbidden(err) {
		return fmt.Sprintf("name it in persistentPodStates.workloads of the Helm chart: %v", err), nil
	}
	if err != nil {
		return "", fmt.Errorf("asking the API server for %s: %w", kind, err)
	}
	return "", nil
}
