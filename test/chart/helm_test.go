package chart_test

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

const (
	root      = "../.."
	chartDir  = root + "/deploy/chart"
	namespace = "kruise-system"
)

// parts returns a folder that holds programs of the lab, which are built if need be.
func parts(t *testing.T, names ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"run", "./cmd/kruise-lab", "parts"}, names...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("building %s: %v\n%s", strings.Join(names, ", "), err, stderr(err))
	}
	return strings.TrimSpace(string(out))
}

func stderr(err error) string {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}

// helm is the helm program.
type helm string

func newHelm(t *testing.T) helm {
	t.Helper()
	return helm(filepath.Join(parts(t, "helm"), "helm"))
}

// run returns what helm prints, and what it complains about.
func (h helm) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), string(h), args...)
	// Nothing of the user's own helm: no plugins, no repositories, no cache.
	home := t.TempDir()
	cmd.Env = []string{"HOME=" + home, "PATH=/usr/bin:/bin"}
	out, err := cmd.Output()
	if err != nil {
		return string(out), errors.New(stderr(err))
	}
	return string(out), nil
}

// render returns the objects of a release, with values in the manner of --set.
func (h helm) render(t *testing.T, releaseNamespace string, values ...string) []unstructured.Unstructured {
	t.Helper()
	out, err := h.run(t, append([]string{"template", "kruise", chartDir, "--namespace", releaseNamespace}, sets(values)...)...)
	if err != nil {
		t.Fatalf("rendering: %v", err)
	}
	var objects []unstructured.Unstructured
	for part := range strings.SplitSeq(out, "\n---\n") {
		var content map[string]any
		if err := yaml.UnmarshalStrict([]byte(part), &content); err != nil {
			t.Fatalf("%v in\n%s", err, part)
		}
		if content != nil {
			objects = append(objects, unstructured.Unstructured{Object: content})
		}
	}
	return objects
}

func sets(values []string) []string {
	var args []string
	for _, value := range values {
		args = append(args, "--set", value)
	}
	return args
}

// find returns the one object of a kind and name, as a type of its own.
func find[T any](t *testing.T, objects []unstructured.Unstructured, kind, name string) *T {
	t.Helper()
	for _, object := range objects {
		if object.GetKind() != kind || object.GetName() != name {
			continue
		}
		typed := new(T)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, typed, true); err != nil {
			t.Fatalf("%s %s: %v", kind, name, err)
		}
		return typed
	}
	t.Fatalf("there is no %s %s", kind, name)
	return nil
}
