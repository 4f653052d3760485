package images

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// module is the root of this project, seen from the folder in which the tests of this package run.
const module = "../.."

func pauseProgram(t *testing.T) string {
	t.Helper()
	program, err := compile(t.Context(), module, t.TempDir(), "pause", "./lab/pause", "")
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// entries reads an image's file system: the content of a file, the target of a link, nothing for a folder.
func entries(t *testing.T, image v1.Image) (content map[string]string, headers map[string]*tar.Header) {
	t.Helper()
	content, headers = map[string]string{}, map[string]*tar.Header{}
	stream := mutate.Extract(image)
	defer stream.Close()
	for r := tar.NewReader(stream); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return content, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(header.Name, "/")
		content[name], headers[name] = string(data)+header.Linkname, header
	}
}

func digest(t *testing.T, image v1.Image) string {
	t.Helper()
	hash, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return hash.String()
}

func TestAnImageHoldsWhatAStaticProgramNeedsAndRunsAsNonroot(t *testing.T) {
	image, err := Static(Spec{
		Programs:   map[string]string{"/usr/bin/pause": pauseProgram(t)},
		Links:      map[string]string{"pause": "usr/bin/pause"},
		Texts:      map[string]string{"etc/version": "7"},
		Entrypoint: []string{"/pause"},
		Ports:      []string{"8080/tcp"},
	})
	if err != nil {
		t.Fatal(err)
	}
	content, headers := entries(t, image)
	if !strings.Contains(content["etc/passwd"], "nonroot:x:65532:65532") {
		t.Errorf("/etc/passwd does not know nonroot: %q", content["etc/passwd"])
	}
	if content["pause"] != "usr/bin/pause" || content["etc/version"] != "7" {
		t.Errorf("link and text are %q and %q", content["pause"], content["etc/version"])
	}
	if mode := headers["usr/bin/pause"].FileInfo().Mode(); mode.Perm() != 0o755 {
		t.Errorf("the program has mode %v", mode)
	}
	if mode := headers["tmp"].Mode; mode != 0o1777 {
		t.Errorf("/tmp has mode %o", mode)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != NonRoot || config.OS != "linux" || len(config.Config.ExposedPorts) != 1 {
		t.Errorf("the configuration is %+v", config.Config)
	}
}

func TestTheDigestDependsOnTheContentAlone(t *testing.T) {
	program := pauseProgram(t)
	elsewhere := filepath.Join(t.TempDir(), "other-name")
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(elsewhere, data, 0o600); err != nil {
		t.Fatal(err)
	}
	digestOf := func(source, text string) string {
		image, err := Static(Spec{Programs: map[string]string{"pause": source}, Texts: map[string]string{"a": text, "b": "x", "c/d": "y"}})
		if err != nil {
			t.Fatal(err)
		}
		return digest(t, image)
	}
	first := digestOf(program, "1")
	if again := digestOf(elsewhere, "1"); again != first {
		t.Errorf("the same content has two digests: %s and %s", first, again)
	}
	if other := digestOf(program, "2"); other == first {
		t.Errorf("another content has the same digest %s", other)
	}
}

func TestAProgramThatTheImageCannotRunIsRefused(t *testing.T) {
	text := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	dynamic, err := exec.LookPath("ls")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ program, says string }{
		"a script":                 {text, "not a Linux program"},
		"a program that is absent": {text + "-absent", "no such file"},
		"a dynamic program":        {dynamic, "CGO_ENABLED=0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Static(Spec{Programs: map[string]string{"x": c.program}})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got error %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestTheCatalogHasDemosThatDifferAndOneThatOnlyItsNameTellsApart(t *testing.T) {
	images, missing, err := Catalog(t.Context(), module, t.TempDir(), filepath.Join(t.TempDir(), "no-busybox"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(missing, "busybox-static") {
		t.Errorf("that busybox is absent is told as %q", missing)
	}
	digests := map[string]string{}
	layers := map[string]string{}
	for _, image := range images {
		all, err := image.Image.Layers()
		if err != nil {
			t.Fatal(err)
		}
		layer, err := all[0].Digest()
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range image.Refs {
			digests[ref], layers[ref] = digest(t, image.Image), layer.String()
		}
	}
	const demo = "openkruise-registry.cn-shanghai.cr.aliyuncs.com/openkruise/demo:"
	for _, ref := range []string{Pause, demo + "1.10.2", demo + "1.10.3", "docker.io/openkruise/demo:1.10.2"} {
		if digests[ref] == "" {
			t.Errorf("%s is not in the catalog", ref)
		}
	}
	if digests[demo+"1.10.2"] == digests[demo+"1.10.3"] || layers[demo+"1.10.2"] == layers[demo+"1.10.3"] {
		t.Error("two versions of the demo server share a digest or a layer")
	}
	if digests[demo+"1.10.2"] != digests[demo+"1.10.2-same"] {
		t.Error("1.10.2-same has another digest than 1.10.2")
	}
}
