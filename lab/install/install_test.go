package install

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/registry"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/lab/images"
	"kruise.io/kruise/lab/simulate"
)

const root = "../.."

// build makes a small static program that stands in for one of the product's.
func build(t *testing.T, bin, name, pkg string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", filepath.Join(bin, name), pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func startRegistry(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestAnImageIsTaggedByItsContentAndHeldByTheRegistry(t *testing.T) {
	host, bin := startRegistry(t), t.TempDir()
	push := func(pkg string) string {
		t.Helper()
		p := programs()[0]
		build(t, bin, p.name, pkg)
		tag, err := p.push(t.Context(), host, bin)
		if err != nil {
			t.Fatal(err)
		}
		return tag
	}
	first, again, other := push("./lab/pause"), push("./lab/pause"), push("./lab/demo")
	if first != again || first == other {
		t.Errorf("tags of one program, of the same again and of another: %s, %s, %s", first, again, other)
	}
	tags, err := crane.ListTags(host+"/openkruise/kruise-manager", crane.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{first, other}
	slices.Sort(want)
	if diff := cmp.Diff(want, tags); diff != "" {
		t.Errorf("tags in the registry (-want +got):\n%s", diff)
	}
}

func TestAProgramThatIsNotBuiltIsNamedWithTheRemedy(t *testing.T) {
	_, err := programs()[0].push(t.Context(), "127.0.0.1:1", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "kruise-manager") || !strings.Contains(err.Error(), "make build") {
		t.Errorf("got error %v", err)
	}
}

// TestHelmGetsTheChartAndItsValues runs a program in helm's place that keeps what it is given.
func TestHelmGetsTheChartAndItsValues(t *testing.T) {
	folder := t.TempDir()
	helm, kept := filepath.Join(folder, "helm"), filepath.Join(folder, "kept")
	script := "#!/bin/sh\necho \"$@\" >" + kept + ".args\nenv >" + kept + ".env\nfor v; do :; done\nwhile [ \"$1\" != --values ]; do shift; done\ncp \"$2\" " + kept + ".yaml\n"
	if err := os.WriteFile(helm, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HELM_PLUGINS", "/somewhere")
	opts := Options{Helm: helm, Chart: "deploy/chart", Kubeconfig: "/k", Values: []string{"mine.yaml"}, Timeout: time.Minute}
	if err := opts.helm(t.Context(), map[string]any{"manager": map[string]any{"image": map[string]any{"tag": "lab-1"}}}); err != nil {
		t.Fatal(err)
	}
	read := func(suffix string) string {
		text, err := os.ReadFile(kept + suffix)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	args := read(".args")
	for _, want := range []string{"upgrade --install kruise deploy/chart", "--namespace kruise-system --create-namespace", "--kubeconfig /k", "--wait --timeout 1m0s", "--values mine.yaml"} {
		if !strings.Contains(args, want) {
			t.Errorf("helm got %q, want %q in it", args, want)
		}
	}
	if env := read(".env"); strings.Contains(env, "HELM_PLUGINS") {
		t.Errorf("helm sees settings of the user:\n%s", env)
	}
	if diff := cmp.Diff("manager:\n  image:\n    tag: lab-1\n", read(".yaml")); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestWhatHelmSaysIsPartOfTheError(t *testing.T) {
	helm := filepath.Join(t.TempDir(), "helm")
	if err := os.WriteFile(helm, []byte("#!/bin/sh\necho 'Error: the chart is wrong' >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := Options{Helm: helm, Chart: "c"}.helm(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "the chart is wrong") {
		t.Errorf("got error %v", err)
	}
}

func TestTheProductNeedsARealNode(t *testing.T) {
	simulated := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "sim-1", Labels: map[string]string{simulate.Label: simulate.LabelValue}}}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	if err := requireRealNode(t.Context(), fake.NewClientset(simulated, node)); err != nil {
		t.Errorf("beside a real node: %v", err)
	}
	if err := requireRealNode(t.Context(), fake.NewClientset(simulated)); err == nil || !strings.Contains(err.Error(), "--nodes 1") {
		t.Errorf("with simulated nodes alone: %v", err)
	}
}

func TestPodsThatAreNotReadySayWhatTheyWaitFor(t *testing.T) {
	pod := func(name string, status corev1.PodStatus) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: Namespace}, Status: status}
	}
	waiting := func(reason, message string) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{Name: "manager", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}
	}
	condition := func(kind corev1.PodConditionType, status corev1.ConditionStatus, message string) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: kind, Status: status, Message: message}}
	}
	crashed := waiting("CrashLoopBackOff", "back-off 10s")
	crashed[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1}
	for name, c := range map[string]struct {
		status corev1.PodStatus
		says   []string
	}{
		"its image is not there": {corev1.PodStatus{ContainerStatuses: waiting("ImagePullBackOff", "not found")}, []string{"ImagePullBackOff not found"}},
		"it found no node":       {corev1.PodStatus{Conditions: condition(corev1.PodScheduled, corev1.ConditionFalse, "0/2 nodes fit")}, []string{"PodScheduled is False: 0/2 nodes fit"}},
		"it crashes":             {corev1.PodStatus{ContainerStatuses: crashed}, []string{"CrashLoopBackOff", "fake logs"}},
		"it is being made":       {corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: waiting("ContainerCreating", "")}, []string{"phase Pending"}},
	} {
		t.Run(name, func(t *testing.T) {
			ready := pod("good", corev1.PodStatus{Conditions: condition(corev1.PodReady, corev1.ConditionTrue, "")})
			err := diagnose(t.Context(), fake.NewClientset(ready, pod("bad", c.status)), Namespace)
			if err == nil || !strings.Contains(err.Error(), "pod bad") || strings.Contains(err.Error(), "pod good") {
				t.Fatalf("got %v", err)
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}

func TestAnObstacleIsToldOnceWhileItLasts(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "bad", Namespace: Namespace}, Status: corev1.PodStatus{
		ContainerStatuses: []corev1.ContainerStatus{{Name: "manager", State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "not found"},
		}}},
	}}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var told []string
		go narrate(ctx, fake.NewClientset(pod), Namespace, func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) })
		time.Sleep(time.Minute)
		cancel()
		synctest.Wait()
		if diff := cmp.Diff([]string{"  pod bad: container manager waits: ImagePullBackOff not found"}, told); diff != "" {
			t.Errorf("what was told (-want +got):\n%s", diff)
		}
	})
}

func TestTheCommandsToTryUseWhatIsThere(t *testing.T) {
	text, err := Next(Tour{Kubeconfig: "/lab/admin.kubeconfig", Programs: "/lab/bin"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"export KUBECONFIG=/lab/admin.kubeconfig", "export PATH=/lab/bin:$PATH", "kubectl create -f " + manifest} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if bare, err := Next(Tour{Kubeconfig: "/k"}); err != nil || strings.Contains(bare, "PATH=") {
		t.Errorf("a machine with its own kubectl is told %v\n%s", err, bare)
	}
	content, err := os.ReadFile(filepath.Join(root, manifest))
	if err != nil {
		t.Fatal(err)
	}
	var workload struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(content, &workload); err != nil {
		t.Fatal(err)
	}
	catalog, _, err := images.Catalog(t.Context(), root, t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	var refs []string
	for _, image := range catalog {
		refs = append(refs, image.Refs...)
	}
	for _, image := range []string{workload.Spec.Template.Spec.Containers[0].Image, newImage} {
		if !slices.Contains(refs, image) {
			t.Errorf("the lab's registry has no %s", image)
		}
	}
}
