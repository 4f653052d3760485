package controller

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/test/builder"
)

func TestAManagerOfOneNamespaceLeavesTheOthersAlone(t *testing.T) {
	ours, others := server.Namespace(t), server.Namespace(t)
	replica, err := server.RunReplica(t.Context(), func(m *manager.Options, s *serve.Options) {
		m.WebhooksOnly, s.Namespace = false, ours
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, namespace := range []string{others, ours} {
		if err := server.Client.Create(t.Context(), builder.CloneSet(web).Namespace(namespace).Object()); err != nil {
			t.Fatal(err)
		}
	}
	const spread = "spread" // needs to know the nodes, which are in no namespace
	set := builder.CloneSet(spread).Namespace(ours).Object()
	set.Spec.Template.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: set.Spec.Selector,
	}}
	if err := server.Client.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	read := func(ctx context.Context, namespace, name string) (*v1beta1.CloneSet, error) {
		set := &v1beta1.CloneSet{}
		return set, server.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, set)
	}
	for _, name := range []string{web, spread} {
		err = wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			set, err := read(ctx, ours, name)
			return err == nil && set.Status.Replicas == 1, err
		})
		if err != nil {
			t.Errorf("waiting for the pod of our set %s: %v", name, err)
		}
	}
	if err := replica.Stop(); err != nil {
		t.Errorf("the manager stopped: %v", err)
	}
	if set, err := read(t.Context(), others, web); err != nil || set.Status.ObservedGeneration != 0 {
		t.Errorf("the set of another namespace has the status %+v, %v", set.Status, err)
	}
}
