package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// provisioner makes and removes the folders behind volumes.
type provisioner struct {
	directory string
}

func (p *provisioner) folder(node, volume string) string {
	return filepath.Join(p.directory, node, "volumes", volume)
}

// Provision makes the folder of a volume on the node that the scheduler chose.
func (p *provisioner) Provision(_ context.Context, options controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	if err := check(options); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	folder := p.folder(options.SelectedNodeName, options.PVName)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("make the volume's folder: %w", err)
	}
	// Whatever user the pod runs as may write, and the umask of this process has no say in it.
	if err := os.Chmod(folder, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("open the volume's folder to all users: %w", err)
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: ptr.Deref(options.StorageClass.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete),
			AccessModes:                   options.PVC.Spec.AccessModes,
			VolumeMode:                    options.PVC.Spec.VolumeMode,
			Capacity: corev1.ResourceList{
				corev1.ResourceStorage: options.PVC.Spec.Resources.Requests[corev1.ResourceStorage],
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: folder}},
			NodeAffinity:           only(options.SelectedNodeName),
		},
	}, controller.ProvisioningFinished, nil
}

// check says which claims a folder on one node cannot serve.
func check(options controller.ProvisionOptions) error {
	if options.SelectedNodeName == "" {
		return fmt.Errorf("storage class %q: a volume belongs to one node, so volumeBindingMode must be WaitForFirstConsumer", options.StorageClass.Name)
	}
	if options.PVC.Spec.Selector != nil {
		return errors.New("spec.selector: a volume that is made on demand has no labels to select by; leave the selector out")
	}
	one := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, corev1.ReadWriteOncePod}
	for _, mode := range options.PVC.Spec.AccessModes {
		if !slices.Contains(one, mode) {
			return fmt.Errorf("spec.accessModes: %s is not possible, since a volume belongs to one node; use one of %v", mode, one)
		}
	}
	return nil
}

// hostname is the label that ties a volume to its node.
const hostname = corev1.LabelHostname

func only(node string) *corev1.VolumeNodeAffinity {
	return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: hostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
	}}}}
}

// Delete removes the folder of a volume. The path in the object is only compared, never followed: whoever may write volumes
// must not be able to have another folder of the host removed.
func (p *provisioner) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	node, err := nodeOf(volume)
	if err != nil {
		return err
	}
	folder := p.folder(node, volume.Name)
	if volume.Spec.Local == nil || volume.Spec.Local.Path != folder {
		return fmt.Errorf("volume %s: its path is not %s, where its folder would be; remove what it names by hand", volume.Name, folder)
	}
	root, err := os.OpenRoot(p.directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the folder for volumes: %w", err)
	}
	err = errors.Join(root.RemoveAll(filepath.Join(node, "volumes", volume.Name)), root.Close())
	if err != nil {
		return fmt.Errorf("remove the folder of volume %s: %w", volume.Name, err)
	}
	return nil
}

// nodeOf reads from a volume's affinity which node it belongs to.
func nodeOf(volume *corev1.PersistentVolume) (string, error) {
	if affinity := volume.Spec.NodeAffinity; affinity != nil && affinity.Required != nil {
		for _, term := range affinity.Required.NodeSelectorTerms {
			for _, rule := range term.MatchExpressions {
				if rule.Key == hostname && len(rule.Values) == 1 {
					return rule.Values[0], nil
				}
			}
		}
	}
	return "", fmt.Errorf("volume %s: spec.nodeAffinity does not name one node by %s", volume.Name, hostname)
}
