package chart_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// The commands of the documentation remove all that there is, in whatever state a cluster is: here no manager ever ran, and
// a request is held by the finalizer that a manager put on it.
func TestEverythingIsRemovedAsTheDocumentationSays(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.deploy(t, "featureGates=ResourcesDeletionProtection=true")
	c.established(t)
	commands := c.documented(t)
	if len(commands) != 2 {
		t.Fatalf("%d blocks of commands, want the removal and what comes before it where no manager runs", len(commands))
	}
	set := newCloneSet("kept")
	set.Labels = map[string]string{"policy.kruise.io/delete-protection": "Always"}
	request := &v1beta1.ContainerRecreateRequest{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "under-way", Finalizers: []string{v1beta1.ContainerRecreateRequestUnreadyAcquiredKey},
	}}
	request.Spec.PodName, request.Spec.Containers = "web", []v1beta1.ContainerRecreateRequestContainer{{Name: "main"}}
	images := &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: "node"}}
	for _, object := range []client.Object{set, request, images} {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatalf("%T: %v", object, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(chartDir, "files/crds/*.yaml"))
	if n := len(c.kinds(t)); err != nil || n != len(files) {
		t.Fatalf("%d kinds are installed, the chart has %d files (%v)", n, len(files), err)
	}

	c.sh(t, commands[1])
	c.sh(t, commands[0])

	if left := c.kinds(t); len(left) > 0 {
		t.Errorf("there still are %v", left)
	}
	if err := c.List(t.Context(), &v1beta1.CloneSetList{}); !apierrors.IsNotFound(err) {
		t.Errorf("CloneSets are listed with %v", err)
	}
	if err := c.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "free-"}}); err != nil {
		t.Errorf("what has nothing to do with it: %v", err)
	}
}

// kinds names the kinds of our groups that there are.
func (c *cluster) kinds(t *testing.T) (names []string) {
	t.Helper()
	all := &apiextensionsv1.CustomResourceDefinitionList{}
	if err := c.List(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for i := range all.Items {
		if strings.HasSuffix(all.Items[i].Spec.Group, ".kruise.io") {
			names = append(names, all.Items[i].Name)
		}
	}
	return names
}

// documented are the blocks of commands by which the documentation removes everything.
func (c *cluster) documented(t *testing.T) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/tasks/install.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "### Remove everything\n")
	if !found {
		t.Fatal("no section says how to remove everything")
	}
	section, _, _ = strings.Cut(section, "\n#")
	within := false
	for line := range strings.Lines(section) {
		command, is := strings.CutPrefix(line, "    ")
		switch {
		case is && within:
			blocks[len(blocks)-1] += command
		case is:
			blocks = append(blocks, command)
		}
		within = is
	}
	return blocks
}

// sh runs commands as somebody does who may do all in the cluster. The first that fails ends them.
func (c *cluster) sh(t *testing.T, commands string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", commands)
	cmd.Env = []string{"HOME=" + t.TempDir(), "KUBECONFIG=" + c.kubeconfig, "PATH=" + filepath.Dir(string(c.helm)) + ":/usr/bin:/bin"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, commands, out)
	}
}
