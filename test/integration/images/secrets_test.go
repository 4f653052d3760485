package images

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/integration/apiserver"
)

func pullSecret(namespace, name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{}}`)},
	}
}

// copies lists the copies of the secrets of a namespace.
func copies(t *testing.T, namespace string) map[string]corev1.Secret {
	t.Helper()
	list := &corev1.SecretList{}
	if err := server.Client.List(t.Context(), list, client.InNamespace(configNamespace)); err != nil {
		t.Fatal(err)
	}
	found := map[string]corev1.Secret{}
	for _, s := range list.Items {
		if source, ok := strings.CutPrefix(s.Annotations[v1beta1.PullSecretSourceKey], namespace+"/"); ok {
			found[source] = s
		}
	}
	return found
}

func TestNodesCanReadThePullSecretsOfAJobAsLongAsItNeedsThem(t *testing.T) {
	t.Parallel()
	names := nodesOf(t, "secret", 1)
	namespace := server.Namespace(t)
	create(t, pullSecret(namespace, "registry"), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "password"}})
	with := func(name string, secrets ...string) *v1beta1.ImagePullJob {
		return newJob(namespace, "secret", 1, func(j *v1beta1.ImagePullJob) { j.Name, j.Spec.PullSecrets = name, secrets })
	}
	a, b := with("a", "registry", "password", "absent"), with("b", "registry")
	create(t, a, b)
	apiserver.Eventually(t, "the node is told where the secret is", func() bool { return tasks(t, names[0]) != "" })
	apiserver.Eventually(t, "one copy serves both jobs", func() bool {
		return copies(t, namespace)["registry"].Annotations[v1beta1.PullSecretReferencesKey] == namespace+"/a,"+namespace+"/b"
	})
	all := copies(t, namespace)
	is := all["registry"]
	if len(all) != 1 || is.Type != corev1.SecretTypeDockerConfigJson || string(is.Data[corev1.DockerConfigJsonKey]) != `{"auths":{}}` || is.Annotations[v1beta1.PullSecretModeKey] != "batch" {
		t.Errorf("the copies are %v", all)
	}
	awaitOwners(t, names[0], 2)
	told := nodeImage(t, names[0]).Spec.Images["nginx"].PullSecrets
	if len(told) != 3 || !strings.HasPrefix(is.Name, "registry-") {
		t.Errorf("the copy is %s, the node is told %v", is.Name, told)
	}
	report(t, names[0], v1beta1.ImagePhaseSucceeded, "")
	for _, j := range []*v1beta1.ImagePullJob{a, b} {
		awaitStatus(t, j, "1/0/1/0 job has completed")
	}
	apiserver.Eventually(t, "no copy is left", func() bool { return len(copies(t, namespace)) == 0 })
}

func TestAFinalizerThatAnotherManagerPutOnAJobIsTakenOff(t *testing.T) {
	t.Parallel()
	j := newJob(server.Namespace(t), "nobody", 1, func(j *v1beta1.ImagePullJob) { j.Finalizers = []string{v1beta1.DeletionProtectionFinalizer} })
	create(t, j)
	if err := server.Client.Delete(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the job goes", func() bool {
		return apierrors.IsNotFound(server.Client.Get(t.Context(), client.ObjectKeyFromObject(j), j))
	})
}
