package e2e

import (
	"os"
	"path/filepath"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
)

// endsSidecars types what docs/tasks/end-sidecars.md says. Beside it runs a job whose sidecar says nothing by its exit code.
func endsSidecars(s *space) {
	kubectl := s.shell(filepath.Join(root, "docs/tasks/end-sidecars"))
	text, err := os.ReadFile(filepath.Join(root, "docs/tasks/end-sidecars/job.yaml"))
	if err != nil {
		s.Fatal(err)
	}
	silent := &batchv1.Job{}
	if err := yaml.UnmarshalStrict(text, silent); err != nil {
		s.Fatal(err)
	}
	silent.Name, silent.Namespace = "silent", s.name
	server := &silent.Spec.Template.Spec.Containers[1]
	server.Env = append(server.Env, corev1.EnvVar{Name: v1beta1.IgnoreExitCodeEnv, Value: "true"})
	s.create(silent)

	if says := kubectl("create", "-f", "job.yaml"); says != "job.batch/report created\n" {
		s.Errorf("kubectl create printed %q", says)
	}
	for _, name := range []string{"report", "silent"} {
		s.eventually("job "+name+" is complete", func() bool {
			job := &batchv1.Job{}
			return s.client.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: name}, job) == nil && job.Status.CompletionTime != nil
		})
	}
	if says := kubectl("wait", "job/report", "--for=condition=Complete", "--timeout=60s"); says != "job.batch/report condition met\n" {
		s.Errorf("kubectl wait printed %q", says)
	}
	kubectl("wait", "job/silent", "--for=condition=Complete", "--timeout=60s")
	s.untilEvent("SidecarTerminator", "the work is done: sidecars are stopped: server")
	s.untilEvent("SidecarTerminator", "the work is done: the pod has succeeded, whatever becomes of sidecars whose exit codes are ignored: server")

	for job, marked := range map[string]bool{"report": false, "silent": true} {
		pods := &corev1.PodList{}
		if err := s.client.List(s.Context(), pods, client.InNamespace(s.name), client.MatchingLabels{batchv1.JobNameLabel: job}); err != nil {
			s.Fatal(err)
		}
		if len(pods.Items) != 1 {
			s.Fatalf("job %s had %d pods", job, len(pods.Items))
		}
		s.watch(&corev1.Pod{})
		s.until("the sidecar of job "+job+" has ended", func() string {
			if c := containerOf(s.pod(pods.Items[0].Name), "server"); c.State.Terminated == nil || c.RestartCount > 0 {
				return c.State.String()
			}
			return ""
		})
		has := false
		for _, c := range s.pod(pods.Items[0].Name).Status.Conditions {
			has = has || c.Type == v1beta1.SidecarTerminated
		}
		if pod := s.pod(pods.Items[0].Name); has != marked || pod.Status.Phase != corev1.PodSucceeded {
			s.Errorf("job %s: marked %t, and the pod has %s", job, has, pod.Status.Phase)
		}
	}
}
