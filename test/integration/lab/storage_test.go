package lab

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/lab/storage"
)

// provision runs the provisioner with the rights that its manifests give to its user, and no others.
func (l lab) provision(directory string) {
	l.Helper()
	admin, err := client.New(l.config, client.Options{})
	if err != nil {
		l.Fatal(err)
	}
	for document := range strings.SplitSeq(string(storage.Manifests), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			l.Fatal(err)
		}
		if err := admin.Apply(l.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("lab-test")); err != nil {
			l.Fatal(err)
		}
	}
	config := rest.CopyConfig(l.config)
	config.Impersonate.UserName = storage.User
	ended := make(chan error, 1)
	go func() { ended <- storage.Run(l.Context(), config, storage.Options{Directory: directory}) }()
	l.Cleanup(func() {
		if err := <-ended; err != nil {
			l.Errorf("the provisioner ended with %v", err)
		}
	})
}

func (l lab) claim(name, class string) *corev1.PersistentVolumeClaim {
	l.Helper()
	claim, err := l.client.CoreV1().PersistentVolumeClaims(l.namespace).Create(l.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class,
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		l.Fatal(err)
	}
	l.create(pod("uses-"+name, func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}}}
	}))
	l.await("uses-"+name, "", "ready", is(corev1.PodReady, corev1.ConditionTrue))
	if claim, err = l.client.CoreV1().PersistentVolumeClaims(l.namespace).Get(l.Context(), claim.Name, metav1.GetOptions{}); err != nil {
		l.Fatal(err)
	}
	return claim
}

func (l lab) resize(name, size string) error {
	_, err := l.client.CoreV1().PersistentVolumeClaims(l.namespace).Patch(l.Context(), name, types.MergePatchType,
		[]byte(`{"spec":{"resources":{"requests":{"storage":"`+size+`"}}}}`), metav1.PatchOptions{})
	return err
}

func (l lab) eventually(what string, holds func(ctx context.Context) (bool, error)) {
	l.Helper()
	if err := wait.PollUntilContextTimeout(l.Context(), 100*time.Millisecond, time.Minute, true, holds); err != nil {
		l.Fatalf("it never came to this: %s: %v", what, err)
	}
}

func TestVolumesAreMadeGrownAndRemoved(t *testing.T) {
	l := start(t)
	l.provision(t.TempDir())

	claim := l.claim("data", "standard")
	volumes := l.client.CoreV1().PersistentVolumes()
	volume, err := volumes.Get(t.Context(), claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod, err := l.client.CoreV1().Pods(l.namespace).Get(t.Context(), "uses-data", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(volume.Spec.Local.Path, "/"+pod.Spec.NodeName+"/") {
		t.Errorf("the pod runs on %s and its volume is at %s", pod.Spec.NodeName, volume.Spec.Local.Path)
	}
	if _, err := os.Stat(volume.Spec.Local.Path); err != nil {
		t.Errorf("the folder of the volume: %v", err)
	}

	if err := l.resize("data", "2Gi"); err != nil {
		t.Fatal(err)
	}
	l.eventually("the claim holds 2Gi and is at rest", func(ctx context.Context) (bool, error) {
		claim, err := l.client.CoreV1().PersistentVolumeClaims(l.namespace).Get(ctx, "data", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return claim.Status.Capacity.Storage().String() == "2Gi" && len(claim.Status.Conditions) == 0 && len(claim.Status.AllocatedResourceStatuses) == 0, nil
	})
	if volume, err = volumes.Get(t.Context(), volume.Name, metav1.GetOptions{}); err != nil || volume.Spec.Capacity.Storage().String() != "2Gi" {
		t.Errorf("the volume holds %s, %v", volume.Spec.Capacity.Storage(), err)
	}

	l.claim("small", "fixed")
	if err := l.resize("small", "2Gi"); !apierrors.IsForbidden(err) {
		t.Errorf("a volume of the class fixed may grow: %v", err)
	}

	if err := l.client.CoreV1().Pods(l.namespace).Delete(t.Context(), "uses-data", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := l.client.CoreV1().PersistentVolumeClaims(l.namespace).Delete(t.Context(), "data", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	l.eventually("the volume and its folder are gone", func(ctx context.Context) (bool, error) {
		_, err := volumes.Get(ctx, volume.Name, metav1.GetOptions{})
		_, folder := os.Stat(volume.Spec.Local.Path)
		return apierrors.IsNotFound(err) && os.IsNotExist(folder), nil
	})
}
