package storage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func order(change func(*controller.ProvisionOptions)) controller.ProvisionOptions {
	options := controller.ProvisionOptions{
		StorageClass:     &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "standard"}},
		PVName:           "pvc-1",
		SelectedNodeName: "n1",
		PVC: &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			},
		}},
	}
	if change != nil {
		change(&options)
	}
	return options
}

func TestAVolumeIsAFolderOfTheChosenNodeThatEveryUserMayWriteTo(t *testing.T) {
	p := &provisioner{directory: t.TempDir()}
	volume, state, err := p.Provision(t.Context(), order(nil))
	if err != nil || state != controller.ProvisioningFinished {
		t.Fatalf("provision: %v, %v", state, err)
	}
	folder := filepath.Join(p.directory, "n1", "volumes", "pvc-1")
	if volume.Spec.Local.Path != folder {
		t.Errorf("the volume is at %s, want %s", volume.Spec.Local.Path, folder)
	}
	info, err := os.Stat(folder)
	if err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("the folder: %v, %v", info, err)
	}
	if node, err := nodeOf(volume); node != "n1" || err != nil {
		t.Errorf("the volume belongs to %q, %v", node, err)
	}
	if size := volume.Spec.Capacity[corev1.ResourceStorage]; size.String() != "1Gi" {
		t.Errorf("the volume holds %s", size.String())
	}
	if volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		t.Errorf("the volume's reclaim policy is %s", volume.Spec.PersistentVolumeReclaimPolicy)
	}
}

func TestAClaimThatAFolderCannotServeIsRefusedWithTheRemedy(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*controller.ProvisionOptions)
		says   string
	}{
		"no node is chosen":         {func(o *controller.ProvisionOptions) { o.SelectedNodeName = "" }, "WaitForFirstConsumer"},
		"it selects by label":       {func(o *controller.ProvisionOptions) { o.PVC.Spec.Selector = &metav1.LabelSelector{} }, "leave the selector out"},
		"many nodes shall write it": {func(o *controller.ProvisionOptions) { o.PVC.Spec.AccessModes[0] = corev1.ReadWriteMany }, "ReadWriteOnce"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &provisioner{directory: t.TempDir()}
			_, state, err := p.Provision(t.Context(), order(c.change))
			if err == nil || !strings.Contains(err.Error(), c.says) || state != controller.ProvisioningFinished {
				t.Errorf("got %v, %v, want an error that says %q", state, err, c.says)
			}
		})
	}
}

func TestADeletedVolumeTakesItsContentWithIt(t *testing.T) {
	p := &provisioner{directory: t.TempDir()}
	volume, _, err := p.Provision(t.Context(), order(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(volume.Spec.Local.Path, "data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time finds nothing, as after a crash
		if err := p.Delete(t.Context(), volume); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(volume.Spec.Local.Path); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestAVolumeThatNamesAnotherFolderHasNothingRemoved(t *testing.T) {
	for name, change := range map[string]func(p *provisioner, v *corev1.PersistentVolume, precious string){
		"its path is elsewhere": func(_ *provisioner, v *corev1.PersistentVolume, precious string) { v.Spec.Local.Path = precious },
		"it has no path":        func(_ *provisioner, v *corev1.PersistentVolume, _ string) { v.Spec.Local = nil },
		"its node is the way to that folder": func(p *provisioner, v *corev1.PersistentVolume, _ string) {
			v.Spec.NodeAffinity = only("../precious")
			v.Spec.Local.Path = p.folder("../precious", v.Name)
		},
		"it belongs to no node": func(_ *provisioner, v *corev1.PersistentVolume, _ string) { v.Spec.NodeAffinity = nil },
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			precious := filepath.Join(parent, "precious")
			if err := os.MkdirAll(filepath.Join(precious, "volumes", "pvc-1"), 0o755); err != nil {
				t.Fatal(err)
			}
			p := &provisioner{directory: filepath.Join(parent, "nodes")}
			volume, _, err := p.Provision(t.Context(), order(nil))
			if err != nil {
				t.Fatal(err)
			}
			change(p, volume, precious)
			if err := p.Delete(t.Context(), volume); err == nil {
				t.Error("it was deleted without an error")
			}
			if _, err := os.Stat(filepath.Join(precious, "volumes", "pvc-1")); err != nil {
				t.Errorf("the other folder is gone: %v", err)
			}
		})
	}
}
