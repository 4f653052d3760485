package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
)

// tail is how much of a long log is kept, in bytes.
const tail = 2 << 20

// dump writes what there is to know about the namespace into a folder: its objects and events, and the logs of the managers and
// of the kubelets. It goes on after an error.
func (s *space) dump(ctx context.Context, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var errs []error
	for file, list := range map[string]client.ObjectList{
		"clonesets.yaml": &v1beta1.CloneSetList{},
		"pods.yaml":      &corev1.PodList{},
		"claims.yaml":    &corev1.PersistentVolumeClaimList{},
		"revisions.yaml": &appsv1.ControllerRevisionList{},
		"events.yaml":    &corev1.EventList{},
	} {
		errs = append(errs, s.dumpList(ctx, filepath.Join(folder, file), list))
	}
	return errors.Join(append(errs, s.dumpManagers(ctx, folder), s.dumpKubelets(folder))...)
}

func (s *space) dumpList(ctx context.Context, file string, list client.ObjectList) error {
	if err := s.client.List(ctx, list, client.InNamespace(s.name)); err != nil {
		return err
	}
	text, err := yaml.Marshal(list)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// dumpManagers keeps the logs of all managers, and those of their earlier lives.
func (s *space) dumpManagers(ctx context.Context, folder string) error {
	pods, err := s.core.CoreV1().Pods(kruiseNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var errs []error
	for _, pod := range pods.Items {
		for _, previous := range []bool{false, true} {
			if previous && restarts([]*corev1.Pod{&pod})[pod.Name] == 0 {
				continue
			}
			log, err := s.core.CoreV1().Pods(kruiseNamespace).GetLogs(pod.Name, &corev1.PodLogOptions{Previous: previous}).DoRaw(ctx)
			if err != nil {
				errs = append(errs, fmt.Errorf("the log of %s: %w", pod.Name, err))
				continue
			}
			name := pod.Name + ".log"
			if previous {
				name = pod.Name + "-previous.log"
			}
			errs = append(errs, os.WriteFile(filepath.Join(folder, name), log, 0o600))
		}
	}
	return errors.Join(errs...)
}

// dumpKubelets keeps the ends of the kubelets' logs, which a lab has beside its kubeconfig.
func (s *space) dumpKubelets(folder string) error {
	logs, err := filepath.Glob(filepath.Join(filepath.Dir(s.kubeconfig), "log", "kubelet-*.log"))
	if err != nil {
		return err
	}
	var errs []error
	for _, log := range logs {
		errs = append(errs, copyEnd(log, filepath.Join(folder, filepath.Base(log))))
	}
	return errors.Join(errs...)
}

func copyEnd(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if _, err := source.Seek(max(info.Size()-tail, 0), io.SeekStart); err != nil {
		return err
	}
	text, err := io.ReadAll(source)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o600)
}
