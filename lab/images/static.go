// Package images makes and ships OCI images without a container engine.
//
// Static puts local static programs into an image of one layer, Push sends an image to the lab's registry under the path of
// its public name, and PushArchive does the same for an archive that docker or another tool saved. What Static makes depends
// on its input alone: the same programs give the same digest on every machine and on every day, so that a digest can be
// compared, a push that changes nothing moves no layers, and a tag can be made from the content.
package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// NonRoot is the user and group that every image knows as "nonroot". It is a number, so that runAsNonRoot can be checked
// without reading the image's /etc/passwd.
const NonRoot = "65532:65532"

const (
	passwd = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"
	group  = "root:x:0:\nnonroot:x:65532:\nnobody:x:65534:\n"
	bundle = "etc/ssl/certs/ca-certificates.crt"
)

// Spec says what goes into an image.
type Spec struct {
	// Programs maps a path in the image to a static Linux program on this machine.
	Programs map[string]string
	// Links maps a path in the image to the target of a symbolic link.
	Links map[string]string
	// Texts maps a path in the image to the content of a file that everybody may read.
	Texts map[string]string
	// Entrypoint, Command, Env, Ports ("8080/tcp") and Labels are those of the image's configuration.
	Entrypoint, Command, Env, Ports []string
	Labels                          map[string]string
	// User is the user and group in numbers, NonRoot when empty.
	User string
	// Certificates adds this machine's bundle of certificate authorities, when it has one.
	Certificates bool
}

// Static makes an image of one layer for the architecture of this machine. Besides the files of spec it holds /etc/passwd,
// /etc/group and a /tmp that everybody may write to. A program that needs a dynamic linker is refused, because the image
// has none.
func Static(spec Spec) (v1.Image, error) {
	files, err := collect(spec)
	if err != nil {
		return nil, err
	}
	content, err := archive(files)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		return nil, fmt.Errorf("make the image's layer: %w", err)
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return nil, fmt.Errorf("add the layer to the image: %w", err)
	}
	config := v1.ConfigFile{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		Created:      v1.Time{Time: epoch()},
		Config:       configOf(spec),
	}
	rootFS, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the image's configuration: %w", err)
	}
	config.RootFS = rootFS.RootFS
	if image, err = mutate.ConfigFile(image, &config); err != nil {
		return nil, fmt.Errorf("write the image's configuration: %w", err)
	}
	return image, nil
}

// epoch stands for every time in an image: a real one would change the digest with every build.
func epoch() time.Time { return time.Unix(0, 0).UTC() }

func configOf(spec Spec) v1.Config {
	config := v1.Config{
		Entrypoint: spec.Entrypoint,
		Cmd:        spec.Command,
		Env:        append([]string{"PATH=/bin:/usr/bin"}, spec.Env...),
		Labels:     spec.Labels,
		User:       spec.User,
		WorkingDir: "/",
	}
	if config.User == "" {
		config.User = NonRoot
	}
	for _, port := range spec.Ports {
		if config.ExposedPorts == nil {
			config.ExposedPorts = map[string]struct{}{}
		}
		config.ExposedPorts[port] = struct{}{}
	}
	return config
}

// file is one entry of the layer; exactly one of content and link is used.
type file struct {
	mode    int64
	content []byte
	link    string
}

func collect(spec Spec) (map[string]file, error) {
	files := map[string]file{
		"etc/passwd": {mode: 0o644, content: []byte(passwd)},
		"etc/group":  {mode: 0o644, content: []byte(group)},
	}
	for name, source := range spec.Programs {
		content, err := program(source)
		if err != nil {
			return nil, err
		}
		files[clean(name)] = file{mode: 0o755, content: content}
	}
	for name, target := range spec.Links {
		files[clean(name)] = file{mode: 0o777, link: target}
	}
	for name, text := range spec.Texts {
		files[clean(name)] = file{mode: 0o644, content: []byte(text)}
	}
	if spec.Certificates {
		content, err := certificates()
		if err != nil {
			return nil, err
		}
		if content != nil {
			files[bundle] = file{mode: 0o644, content: content}
		}
	}
	return files, nil
}

func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

var errNotStatic = errors.New("not a static program: it asks for a dynamic linker, which the image does not have; a Go program becomes static with CGO_ENABLED=0")

// program reads a program and makes sure that it runs without anything else in the image.
func program(source string) ([]byte, error) {
	content, err := os.ReadFile(source)
	if err != nil {
		return nil, fmt.Errorf("read the program for the image: %w", err)
	}
	binary, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s is not a Linux program: %w", source, err)
	}
	for _, part := range binary.Progs {
		if part.Type == elf.PT_INTERP {
			return nil, fmt.Errorf("%s: %w", source, errNotStatic)
		}
	}
	return content, nil
}

// certificates reads the bundle from the places where the common distributions keep it. A machine without one gets an image
// without one: programs that only talk to the cluster do not miss it.
func certificates() ([]byte, error) {
	for _, name := range []string{"/" + bundle, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"} {
		content, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the certificate authorities for the image: %w", err)
		}
		return content, nil
	}
	return nil, nil
}

// archive writes the layer with its entries in order, each folder before what it holds, and without any time or owner.
func archive(files map[string]file) ([]byte, error) {
	folders := map[string]int64{"tmp": 0o1777}
	for name := range files {
		for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
			if _, known := folders[folder]; !known {
				folders[folder] = 0o755
			}
		}
	}
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		header := &tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: folders[name], ModTime: epoch(), Format: tar.FormatPAX}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("add the folder /%s to the image: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := add(w, name, files[name]); err != nil {
			return nil, fmt.Errorf("add /%s to the image: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("finish the image's layer: %w", err)
	}
	return content.Bytes(), nil
}

func add(w *tar.Writer, name string, f file) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: f.mode, Size: int64(len(f.content)), ModTime: epoch(), Format: tar.FormatPAX}
	if f.link != "" {
		header.Typeflag, header.Linkname, header.Size = tar.TypeSymlink, f.link, 0
	}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.Write(f.content)
	return err
}
