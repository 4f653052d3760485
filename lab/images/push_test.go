package images

import (
	"compress/gzip"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func startRegistry(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// pull reads an image at a path such as library/busybox:latest.
func pull(t *testing.T, host, path string) v1.Image {
	t.Helper()
	tag, err := name.NewTag(host+"/"+path, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(tag, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func textImage(t *testing.T, text string) v1.Image {
	t.Helper()
	image, err := Static(Spec{Texts: map[string]string{"text": text}})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestAPublicNameKeepsItsPathAndLosesItsHost(t *testing.T) {
	for ref, path := range map[string]string{
		"registry.k8s.io/pause:3.10":   "pause:3.10",
		"busybox":                      "library/busybox:latest",
		"docker.io/library/busybox":    "library/busybox:latest",
		"openkruise/kruise-manager:v1": "openkruise/kruise-manager:v1",
		"openkruise-registry.cn-shanghai.cr.aliyuncs.com/openkruise/demo:1.10.2": "openkruise/demo:1.10.2",
		"localhost:5000/a/b/c:1": "a/b/c:1",
	} {
		t.Run(ref, func(t *testing.T) {
			host, image := startRegistry(t), textImage(t, ref)
			if err := Push(t.Context(), host, ref, image); err != nil {
				t.Fatal(err)
			}
			back := pull(t, host, path)
			if got, want := digest(t, back), digest(t, image); got != want {
				t.Errorf("at %s the registry has %q, want %q", path, got, want)
			}
			if err := validate.Image(back); err != nil {
				t.Errorf("what comes back is not a valid image: %v", err)
			}
		})
	}
}

func TestAWrongImageNameIsNamedInTheError(t *testing.T) {
	err := Push(t.Context(), "127.0.0.1:1", "Not A Name", textImage(t, ""))
	if err == nil || !strings.Contains(err.Error(), `"Not A Name"`) {
		t.Errorf("got error %v", err)
	}
}

func TestAPushDoesNotGoThroughTheProxyOfTheMachine(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	if err := Push(t.Context(), startRegistry(t), "a:1", textImage(t, "")); err != nil {
		t.Error(err)
	}
}

func dockerArchive(t *testing.T, images map[string]v1.Image) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "docker.tar")
	tags := map[name.Tag]v1.Image{}
	for ref, image := range images {
		tag, err := name.NewTag(ref)
		if err != nil {
			t.Fatal(err)
		}
		tags[tag] = image
	}
	if err := tarball.MultiWriteToFile(file, tags); err != nil {
		t.Fatal(err)
	}
	return file
}

func ociArchive(t *testing.T, index v1.ImageIndex) string {
	t.Helper()
	folder, file := t.TempDir(), filepath.Join(t.TempDir(), "oci.tar")
	if _, err := layout.Write(folder, index); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "tar", "-C", folder, "-cf", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

func zipped(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	target, err := os.Create(file + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	w := gzip.NewWriter(target)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return target.Name()
}

func TestTheImagesOfAnArchiveArePushedUnderTheirNames(t *testing.T) {
	one, two := textImage(t, "one"), textImage(t, "two")
	named := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Annotations: map[string]string{"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "docker.io/library/one:1"}}},
		mutate.IndexAddendum{Add: two, Descriptor: v1.Descriptor{Annotations: map[string]string{"org.opencontainers.image.ref.name": "ghcr.io/some/two:2"}}})
	several := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex),
		mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}},
		mutate.IndexAddendum{Add: two, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture(t, two)}}})
	forAll := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: several, Descriptor: v1.Descriptor{Annotations: map[string]string{"org.opencontainers.image.ref.name": "library/two:2"}}})
	docker := dockerArchive(t, map[string]v1.Image{"library/one:1": one, "ghcr.io/some/two:2": two})
	for name, c := range map[string]struct {
		file, as string
		served   map[string]string
	}{
		"docker's layout":                       {docker, "", map[string]string{"library/one:1": "one", "some/two:2": "two"}},
		"docker's layout, compressed":           {zipped(t, docker), "", map[string]string{"library/one:1": "one", "some/two:2": "two"}},
		"one image with another name":           {dockerArchive(t, map[string]v1.Image{"one:1": one}), "my/own:2", map[string]string{"my/own:2": "one"}},
		"OCI's layout":                          {ociArchive(t, named), "", map[string]string{"library/one:1": "one", "some/two:2": "two"}},
		"OCI's layout, compressed":              {zipped(t, ociArchive(t, named)), "", map[string]string{"library/one:1": "one", "some/two:2": "two"}},
		"an image for several kinds of machine": {ociArchive(t, forAll), "", map[string]string{"library/two:2": "two"}},
		"an image without a name gets one":      {ociArchive(t, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: one})), "a:1", map[string]string{"library/a:1": "one"}},
	} {
		t.Run(name, func(t *testing.T) {
			host := startRegistry(t)
			refs, err := PushArchive(t.Context(), host, c.file, c.as)
			if err != nil {
				t.Fatal(err)
			}
			if len(refs) != len(c.served) {
				t.Errorf("it says that it pushed %v", refs)
			}
			for path, text := range c.served {
				if content, _ := entries(t, pull(t, host, path)); content["text"] != text {
					t.Errorf("at %s is image %q, want %q", path, content["text"], text)
				}
			}
		})
	}
}

func architecture(t *testing.T, image v1.Image) string {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return config.Architecture
}

func TestAnArchiveThatCannotBePushedSaysWhy(t *testing.T) {
	one, two := textImage(t, "one"), textImage(t, "two")
	several := dockerArchive(t, map[string]v1.Image{"one:1": one, "two:2": two})
	nameless := ociArchive(t, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: one}))
	other := filepath.Join(t.TempDir(), "other.tar")
	if out, err := exec.CommandContext(t.Context(), "tar", "-cf", other, "-C", filepath.Dir(several), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, c := range map[string]struct{ file, as, says string }{
		"several images cannot have one name": {several, "a:1", "holds 2 images"},
		"an image without a name needs one":   {nameless, "", "without a name"},
		"not an archive of images":            {other, "", "not an archive of images"},
		"a file that is absent":               {other + "-absent", "", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			refs, err := PushArchive(t.Context(), startRegistry(t), c.file, c.as)
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.file) {
				t.Errorf("got error %v, want one that names the file and says %q", err, c.says)
			}
			if slices.Contains(refs, "a:1") {
				t.Errorf("it says that it pushed %v", refs)
			}
		})
	}
}

func TestUnpackingNeverLeavesItsFolder(t *testing.T) {
	parent := t.TempDir()
	folder, file := filepath.Join(parent, "in"), filepath.Join(parent, "evil.tar")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(parent, "victim"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "tar", "-P", "-C", folder, "-cf", file, "../victim").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	err := unpack(func() (io.ReadCloser, error) { return openPlain(file) }, folder)
	if err == nil {
		t.Error("an entry outside the folder was unpacked")
	}
}
