package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	registry "kruise.io/kruise/lab/cluster"
)

// pulled are the nodes on which the stories about single images pull. A third one is taken away by another story.
func pulled() []string { return []string{"node-1", "node-2"} }

// pullsImage types what docs/tasks/pull-images.md says and reads what a user reads.
func pullsImage(s *space) {
	kubectl := s.shell(filepath.Join(root, "docs/tasks/pull-images"))
	s.watch(&v1beta1.ImagePullJob{})
	if says := kubectl("create", "-f", "job.yaml"); says != "imagepulljob.apps.kruise.io/test-job created\n" {
		s.Errorf("kubectl create printed %q", says)
	}
	s.untilPulled("test-job")
	rows := strings.Split(strings.TrimSpace(kubectl("get", "imagepulljob")), "\n")
	if len(rows) != 2 || !regexp.MustCompile(`^NAME +TOTAL +ACTIVE +SUCCEED +FAILED +AGE$`).MatchString(rows[0]) ||
		!regexp.MustCompile(`^test-job +2 +0 +2 +0 +[0-9ms]+$`).MatchString(rows[1]) {
		s.Errorf("kubectl get imagepulljob printed %q", rows)
	}
	if says := kubectl("get", "imagepulljob", "test-job", "-o", "jsonpath={.status.message}"); says != "job has completed" {
		s.Errorf("the message is %q", says)
	}
	for _, node := range pulled() {
		says := kubectl("get", "nodeimage", node, "-o", `jsonpath={range .status.imageStatuses.openkruise/demo.tags[*]}{.tag} {.phase} {.progress} {.imageID}{"\n"}{end}`)
		if !strings.Contains(says, "1.10.4 Succeeded 100 openkruise/demo@sha256:") {
			s.Errorf("the NodeImage of %s says %q", node, says)
		}
		// The proof: a pod that may not pull runs there.
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "on-" + node}}
		pod.Spec.NodeName = node
		pod.Spec.TerminationGracePeriodSeconds = new(int64(0))
		pod.Spec.Containers = []corev1.Container{{Name: app, Image: "docker.io/openkruise/demo:1.10.4", ImagePullPolicy: corev1.PullNever}}
		s.create(pod)
		s.watch(&corev1.Pod{})
		s.until("a pod that may not pull runs on "+node, func() string { return notReady(s.pod(pod.Name)) })
	}
	kubectl("delete", "imagepulljob", "test-job")

	// The registry is asked for the same image by its digest.
	_, digest, _ := strings.Cut(containerOf(s.pod("on-"+pulled()[0]), app).ImageID, "@")
	job := s.pull("by-digest", "docker.io/openkruise/demo@"+digest)
	job.Spec.ImagePullPolicy = v1beta1.PullAlways
	s.create(job)
	s.untilPulled("by-digest")
	s.same("the nodes that failed", 0, len(s.pullJob("by-digest").Status.FailedNodes))
	for _, node := range pulled() {
		says := kubectl("get", "nodeimage", node, "-o", `jsonpath={range .status.imageStatuses.openkruise/demo.tags[*]}{.tag} {.phase}{"\n"}{end}`)
		if !strings.HasPrefix(digest, "sha256:") || !strings.Contains(says, digest+" Succeeded\n") {
			s.Errorf("asked for the digest %q, the NodeImage of %s says %q", digest, node, says)
		}
	}
}

// cannotPull asks for an image that no registry has.
func cannotPull(s *space) {
	s.watch(&v1beta1.ImagePullJob{})
	job := s.pull("absent", "docker.io/openkruise/demo:absent")
	job.Spec.PullPolicy = &v1beta1.PullPolicy{BackoffLimit: new(int32(1))}
	s.create(job)
	s.untilPulled("absent")
	s.same("the nodes that failed", pulled(), s.pullJob("absent").Status.FailedNodes)
	s.untilEvent("PullImageFailed", "openkruise/demo:absent: pulling image docker.io/openkruise/demo:absent")
	image := &v1beta1.NodeImage{}
	if err := s.client.Get(s.Context(), client.ObjectKey{Name: pulled()[0]}, image); err != nil {
		s.Fatal(err)
	}
	i := slices.IndexFunc(image.Status.ImageStatuses["openkruise/demo"].Tags, func(t v1beta1.ImageTagStatus) bool { return t.Tag == "absent" })
	if i < 0 || !strings.Contains(image.Status.ImageStatuses["openkruise/demo"].Tags[i].Message, "not found") {
		s.Errorf("the node says %+v", image.Status.ImageStatuses)
	}
}

// pullsPrivately pulls an image that wants a password.
func pullsPrivately(s *space) {
	s.watch(&v1beta1.ImagePullJob{})
	job := func(name string, secrets ...string) *v1beta1.ImagePullJob {
		job := s.pull(name, registry.PrivateRegistry+"/openkruise/demo:1.10.4")
		job.Spec.ImagePullPolicy = v1beta1.PullAlways
		job.Spec.PullPolicy, job.Spec.PullSecrets = &v1beta1.PullPolicy{BackoffLimit: new(int32(0))}, secrets
		s.create(job)
		s.untilPulled(name)
		return s.pullJob(name)
	}
	s.create(s.dockerSecret("wrong", "close-sesame"))
	s.create(s.dockerSecret("right", registry.PrivatePassword))
	s.same("the nodes that failed without a secret", pulled(), job("stranger").Status.FailedNodes)
	s.untilEvent("PullImageFailed", "no basic auth credentials")
	s.same("the nodes that failed with a wrong password", pulled(), job("guest", "wrong").Status.FailedNodes)
	s.untilEvent("PullImageFailed", "401 Unauthorized")
	if status := job("member", "wrong", "right").Status; status.Succeeded != int32(len(pulled())) { //nolint:gosec // few
		s.Errorf("with the right password: %+v", status)
	}
	s.untilForgotten()
}

// untilForgotten waits until no copy of a secret of the namespace is left where nodes read.
func (s *space) untilForgotten() {
	s.Helper()
	copies := &corev1.SecretList{}
	err := wait.PollUntilContextTimeout(s.Context(), 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		err := s.client.List(ctx, copies, client.InNamespace("kruise-daemon-config"))
		return !slices.ContainsFunc(copies.Items, func(secret corev1.Secret) bool {
			return strings.HasPrefix(secret.Annotations[v1beta1.PullSecretSourceKey], s.name+"/")
		}), err
	})
	if err != nil {
		s.Fatalf("waited in vain until no copy of a secret was left; last seen: %d secrets (%v)", len(copies.Items), err)
	}
}

// dockerSecret is a secret for the private registry of the lab.
func (s *space) dockerSecret(name, password string) *corev1.Secret {
	config := fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, registry.PrivateRegistry, registry.PrivateUser, password)
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: name}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(config)},
	}
}

// pullsList pulls two images with one list.
func pullsList(s *space) {
	s.watch(&v1beta1.ImageListPullJob{})
	list := &v1beta1.ImageListPullJob{ObjectMeta: metav1.ObjectMeta{Name: "base"}}
	list.Spec.Images = []string{"openkruise/demo:1.10.2", "openkruise/demo:latest"}
	list.Spec.ImagePullJobTemplate = s.pull("", "").Spec.ImagePullJobTemplate
	s.create(list)
	s.until("the list is complete", func() string {
		if err := s.client.Get(s.Context(), client.ObjectKeyFromObject(list), list); err != nil {
			return err.Error()
		}
		if list.Status.CompletionTime == nil || list.Status.Succeeded != 2 {
			return fmt.Sprintf("%+v", list.Status)
		}
		return ""
	})
}

// pull is a job for the nodes of the stories about single images.
func (s *space) pull(name, image string) *v1beta1.ImagePullJob {
	job := &v1beta1.ImagePullJob{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: name}}
	job.Spec.Image, job.Spec.Parallelism = image, &intstr.IntOrString{IntVal: 10}
	job.Spec.Selector = &v1beta1.ImagePullJobNodeSelector{Names: pulled()}
	return job
}

// pullJob is a job as it is now.
func (s *space) pullJob(name string) *v1beta1.ImagePullJob {
	s.Helper()
	job := &v1beta1.ImagePullJob{}
	if err := s.client.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: name}, job); err != nil {
		s.Fatalf("looking at job %s: %v", name, err)
	}
	return job
}

// untilNodesPull waits until every node of a set's pods has a NodeImage.
func (s *space) untilNodesPull(set string) {
	s.Helper()
	for _, pod := range s.podsNow(set) {
		s.eventually("node "+pod.Spec.NodeName+" has a NodeImage", func() bool {
			return s.client.Get(s.Context(), client.ObjectKey{Name: pod.Spec.NodeName}, &v1beta1.NodeImage{}) == nil
		})
	}
}

// untilPulled waits until all nodes of a job are through.
func (s *space) untilPulled(name string) {
	s.Helper()
	s.until("job "+name+" is complete", func() string {
		if job := s.pullJob(name); job.Status.CompletionTime == nil {
			return fmt.Sprintf("%+v", job.Status)
		}
		return ""
	})
}

// pullings counts how often kubelets pulled an image for pods of the namespace.
func (s *space) pullings(image string) (n int) {
	s.Helper()
	list := &eventsv1.EventList{}
	if err := s.client.List(s.Context(), list, client.InNamespace(s.name)); err != nil {
		s.Fatal(err)
	}
	for _, event := range list.Items {
		if event.Reason == "Pulling" && strings.Contains(event.Note, image) {
			n++
		}
	}
	return n
}
