package controller

import (
	"context"
	"testing"
	"time"

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
	read := func(ctx context.Context, namespace string) (*v1beta1.CloneSet, error) {
		set := &v1beta1.CloneSet{}
		return set, server.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: web}, set)
	}
	err = wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		set, err := read(ctx, ours)
		return err == nil && set.Status.Replicas == 1, err
	})
	if err != nil {
		t.Errorf("waiting for the pod of our set: %v", err)
	}
	if err := replica.Stop(); err != nil {
		t.Errorf("the manager stopped: %v", err)
	}
	if set, err := read(t.Context(), others); err != nil || set.Status.ObservedGeneration != 0 {
		t.Errorf("the set of another namespace has the status %+v, %v", set.Status, err)
	}
}
