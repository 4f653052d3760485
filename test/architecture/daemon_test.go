package architecture_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A program on every node pays for each page of its file on every node; most of what a client of all kinds links is never used there.
func TestTheDaemonLinksNoKindsOfKubernetesButItsOwn(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", module+"/cmd/kruise-daemon")
	list.Dir = root
	out, err := list.CombinedOutput()
	if err != nil {
		t.Fatalf("listing the packages of the daemon: %v\n%s", err, out)
	}
	packages := strings.Fields(string(out))
	if !slices.Contains(packages, "k8s.io/api/core/v1") {
		t.Fatalf("the daemon does not know pods: the test looks in the wrong place\n%s", out)
	}
	for _, p := range packages {
		known := slices.Contains([]string{"k8s.io/api/core/v1", "k8s.io/api/apps/v1", "k8s.io/api/events/v1"}, p)
		if strings.HasPrefix(p, "k8s.io/api/") && !known || strings.HasPrefix(p, "k8s.io/client-go/kubernetes") {
			t.Errorf("%s is linked into the daemon; `go list -deps` of the packages that it imports says by whom", p)
		}
	}
}
