package parts

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/modfile"

	"kruise.io/kruise/lab/checkout"
	"kruise.io/kruise/lab/progress"
)

// fake lays out a repository with one tiny part, whose program prints a word, and returns a builder for it.
func fake(t *testing.T, root, cache, word string, out *lockedBuffer) *builder {
	t.Helper()
	files := map[string]string{
		"go.mod":       "module example.com/pins\n\ngo 1.26.0\n\nrequire example.com/tiny v1.2.3\n\nreplace example.com/tiny => ./tiny\n",
		"go.sum":       "",
		"tiny/go.mod":  "module example.com/tiny\n\ngo 1.26.0\n",
		"tiny/main.go": "package main\n\nvar version = \"unset\"\n\nfunc main() { println(\"" + word + "\", version) }\n",
	}
	for name, text := range files {
		path := filepath.Join(root, "lab", "parts", "modules", "tiny", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opts := Options{Root: root, Cache: cache, Progress: progress.New(out)}
	b, err := newBuilder(t.Context(), opts, []source{tiny()})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tiny() source {
	return source{part: "tiny", module: "tiny", upstream: "example.com/tiny", pkg: "example.com/tiny", stamp: set("main.version")}
}

// lockedBuffer collects what builders that run side by side say.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func says(t *testing.T, bin string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "tiny")).CombinedOutput()
	if err != nil {
		t.Fatalf("running the part: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestAPartIsBuiltOnceReportsItsVersionAndIsFoundAfterwards(t *testing.T) {
	root, cache := t.TempDir(), t.TempDir()
	var first, second lockedBuffer
	bin, err := fake(t, root, cache, "hello", &first).ensure(t.Context(), []Part{"tiny"})
	if err != nil {
		t.Fatal(err)
	}
	if got := says(t, bin); got != "hello v1.2.3" {
		t.Fatalf("the part says %q", got)
	}
	again, err := fake(t, root, cache, "hello", &second).ensure(t.Context(), []Part{"tiny"})
	if err != nil {
		t.Fatal(err)
	}
	if again != bin || second.text.String() != "" {
		t.Fatalf("the second time gave %s and said %q; want %s and silence", again, second.text.String(), bin)
	}
}

func TestTwoBuildsAtOnceMakeOneProgramTheOtherUses(t *testing.T) {
	root, cache := t.TempDir(), t.TempDir()
	var out lockedBuffer
	b := fake(t, root, cache, "hello", &out)
	var wg sync.WaitGroup
	errs, bins := make([]error, 4), make([]string, 4)
	for i := range errs {
		wg.Go(func() { bins[i], errs[i] = b.ensure(t.Context(), []Part{"tiny"}) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, bin := range bins {
		if got := says(t, bin); got != "hello v1.2.3" {
			t.Errorf("the part says %q", got)
		}
	}
	if got := strings.Count(out.text.String(), "building tiny v1.2.3: done"); got != 1 {
		t.Errorf("built %d times, want once:\n%s", got, out.text.String())
	}
}

func TestWhatAnInterruptedBuildLeftIsNeverUsed(t *testing.T) {
	root, cache := t.TempDir(), t.TempDir()
	b := fake(t, root, cache, "hello", &lockedBuffer{})
	unfinished := filepath.Dir(b.program(tiny())) + ".unfinished"
	if err := os.MkdirAll(unfinished, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(unfinished, "tiny"), []byte("half a program"), 0o700); err != nil {
		t.Fatal(err)
	}
	bin, err := b.ensure(t.Context(), []Part{"tiny"})
	if err != nil {
		t.Fatal(err)
	}
	if got := says(t, bin); got != "hello v1.2.3" {
		t.Fatalf("the part says %q", got)
	}
}

func TestAnInterruptedBuildSaysSoAndTheNextOneSucceeds(t *testing.T) {
	root, cache := t.TempDir(), t.TempDir()
	b := fake(t, root, cache, "hello", &lockedBuffer{})
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.ensure(interrupted, []Part{"tiny"}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want an error that says the build was interrupted", err)
	}
	bin, err := b.ensure(t.Context(), []Part{"tiny"})
	if err != nil {
		t.Fatal(err)
	}
	if got := says(t, bin); got != "hello v1.2.3" {
		t.Fatalf("the part says %q", got)
	}
}

func TestABuildThatFailsLeavesNothingAndShowsWhatTheCompilerSays(t *testing.T) {
	root, cache := t.TempDir(), t.TempDir()
	b := fake(t, root, cache, `" + undefined + "`, &lockedBuffer{})
	_, err := b.ensure(t.Context(), []Part{"tiny"})
	if err == nil || !strings.Contains(err.Error(), "undefined: undefined") || !strings.Contains(err.Error(), "building tiny") {
		t.Fatalf("got %v, want the part and the compiler's message", err)
	}
	left, _ := filepath.Glob(filepath.Join(cache, "parts", "tiny", "*"))
	for _, path := range left {
		if !strings.HasSuffix(path, ".lock") {
			t.Errorf("left behind: %s", path)
		}
	}
}

func TestTheKeyOfAPartChangesWithWhateverShapesIt(t *testing.T) {
	b := &builder{modules: map[string]module{"tiny": {pins: "pins", toolchain: "go1.26.0 linux amd64", versions: map[string]string{"example.com/tiny": "v1.2.3"}}}}
	before := b.key(tiny())
	if !strings.HasPrefix(before, "v1.2.3-") {
		t.Errorf("%s does not begin with the version", before)
	}
	for name, change := range map[string]func(m *module, s *source){
		"another pin":       func(m *module, _ *source) { m.pins += "x" },
		"another toolchain": func(m *module, _ *source) { m.toolchain = "go1.27.0 linux amd64" },
		"another tag":       func(_ *module, s *source) { s.tags = "x" },
		"another package":   func(_ *module, s *source) { s.pkg += "/x" },
		"another flag":      func(_ *module, s *source) { s.stamp = set() },
	} {
		t.Run(name, func(t *testing.T) {
			m, s := b.modules["tiny"], tiny()
			change(&m, &s)
			if (&builder{modules: map[string]module{"tiny": m}}).key(s) == before {
				t.Fatal("the key stayed the same")
			}
		})
	}
}

func TestEveryPartIsPinnedByItsModule(t *testing.T) {
	root, err := checkout.Root()
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBuilder(t.Context(), Options{Root: root, Cache: t.TempDir()}, catalogue())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range catalogue() {
		if b.modules[s.module].versions[s.upstream] == "" {
			t.Errorf("modules/%s does not require %s, of which %s is a part", s.module, s.upstream, s.part)
		}
		mod, err := os.ReadFile(filepath.Join(b.modules[s.module].dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		ours := strings.HasPrefix(s.pkg, checkout.Module)
		if !ours && !strings.Contains(string(mod), s.pkg+"\n") {
			t.Errorf("modules/%s has no tool line for %s: go mod tidy would drop what it needs", s.module, s.pkg)
		}
	}
}

func TestAnotherKubernetesReplacesItsStagingModulesByTheirReleases(t *testing.T) {
	upstream := "module k8s.io/kubernetes\n\ngo 1.24.0\n\nrequire k8s.io/api v0.0.0\n\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\texample.com/x => example.com/y v1.0.0\n)\n"
	got, err := kubernetesGoMod([]byte(upstream), "v1.34.4")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", got, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(mod.Replace) != 1 || mod.Replace[0].New.Path != "k8s.io/api" || mod.Replace[0].New.Version != "v0.34.4" {
		t.Errorf("staging modules are replaced by %v", mod.Replace)
	}
	if mod.Go.Version != "1.24.0" || len(mod.Tool) != 6 {
		t.Errorf("got go %s and %d tools, want theirs and 6", mod.Go.Version, len(mod.Tool))
	}
}

func TestWrongNamesAndVersionsAreAnsweredWithTheRightOnes(t *testing.T) {
	if _, err := Named("kubelet", "kublet"); err == nil || !strings.Contains(err.Error(), `no part "kublet"`) || !strings.Contains(err.Error(), "kubelet") {
		t.Errorf("got %v, want the wrong name and the known ones", err)
	}
	b := &builder{opts: Options{Kubernetes: "latest"}}
	if err := b.chooseKubernetes(t.Context()); err == nil || !strings.Contains(err.Error(), "such as 1.35.4") {
		t.Errorf("got %v, want an example of a version", err)
	}
}
