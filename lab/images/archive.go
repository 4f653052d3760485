package images

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Named is an image and its public names.
type Named struct {
	Refs  []string
	Image v1.Image
}

// PushArchive sends the images of an archive to the lab's registry and returns the public names that were pushed. The archive
// is what `docker save`, `podman save` or `ctr image export` wrote, compressed by gzip or not. With a ref the archive must
// hold one image, which gets that name instead of its own.
func PushArchive(ctx context.Context, registry, file, ref string) (pushed []string, err error) {
	folder, err := os.MkdirTemp("", "images-")
	if err != nil {
		return nil, fmt.Errorf("make a folder to unpack %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	images, err := read(file, folder)
	if err != nil {
		return nil, fmt.Errorf("read the images of %s: %w", file, err)
	}
	if ref != "" {
		if len(images) != 1 {
			return nil, fmt.Errorf("%s holds %d images, so they cannot all be named %s: leave the name out, or save one image alone", file, len(images), ref)
		}
		images[0].Refs = []string{ref}
	}
	for _, image := range images {
		if len(image.Refs) == 0 {
			return pushed, fmt.Errorf("%s holds an image without a name: say which name it shall have", file)
		}
		for _, ref := range image.Refs {
			if err := Push(ctx, registry, ref, image.Image); err != nil {
				return pushed, err
			}
			pushed = append(pushed, ref)
		}
	}
	return pushed, nil
}

// read lists the images of an archive, of which those in OCI's layout are unpacked into folder first. An archive may follow
// both layouts at once; docker's is asked first, since the names in it are whole.
func read(file, folder string) ([]Named, error) {
	open := func() (io.ReadCloser, error) { return openPlain(file) }
	layouts := map[string]bool{}
	err := walk(open, func(header *tar.Header, _ io.Reader) error {
		layouts[path.Clean(header.Name)] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	if layouts["manifest.json"] {
		return readDocker(open)
	}
	if layouts["index.json"] {
		return readOCI(open, folder)
	}
	return nil, errors.New("neither manifest.json (docker) nor index.json (OCI) is in it, so it is not an archive of images")
}

func readDocker(open tarball.Opener) ([]Named, error) {
	manifest, err := tarball.LoadManifest(open)
	if err != nil {
		return nil, err
	}
	var images []Named
	for _, entry := range manifest {
		if len(entry.RepoTags) == 0 {
			if len(manifest) > 1 {
				return nil, errors.New("one of its images has no name, so it cannot be told from the others")
			}
			image, err := tarball.Image(open, nil)
			if err != nil {
				return nil, err
			}
			return []Named{{Image: image}}, nil
		}
		tag, err := name.NewTag(entry.RepoTags[0])
		if err != nil {
			return nil, err
		}
		image, err := tarball.Image(open, &tag)
		if err != nil {
			return nil, err
		}
		images = append(images, Named{Refs: entry.RepoTags, Image: image})
	}
	return images, nil
}

func readOCI(open tarball.Opener, folder string) ([]Named, error) {
	if err := unpack(open, folder); err != nil {
		return nil, err
	}
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var images []Named
	for _, entry := range manifest.Manifests {
		image, err := pick(index, entry)
		if err != nil {
			return nil, err
		}
		named := Named{Image: image}
		if ref := refOf(entry); ref != "" {
			named.Refs = []string{ref}
		}
		images = append(images, named)
	}
	return images, nil
}

// refOf reads the image's name. containerd writes the whole name beside the standard annotation, which may be the tag alone.
func refOf(entry v1.Descriptor) string {
	if ref := entry.Annotations["io.containerd.image.name"]; ref != "" {
		return ref
	}
	return entry.Annotations["org.opencontainers.image.ref.name"]
}

// pick returns the image of an entry, which is one for this machine's architecture where the entry holds several.
func pick(index v1.ImageIndex, entry v1.Descriptor) (v1.Image, error) {
	if !entry.MediaType.IsIndex() {
		return index.Image(entry.Digest)
	}
	several, err := index.ImageIndex(entry.Digest)
	if err != nil {
		return nil, err
	}
	wanted := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	manifest, err := several.IndexManifest()
	if err != nil {
		return nil, err
	}
	fits := match.Platforms(wanted)
	for _, candidate := range manifest.Manifests {
		if fits(candidate) {
			return several.Image(candidate.Digest)
		}
	}
	return nil, fmt.Errorf("image %s is not there for %s", refOf(entry), wanted.String())
}

// openPlain opens a file and undoes gzip, if the file begins as gzip does.
func openPlain(file string) (io.ReadCloser, error) {
	source, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewReader(source)
	var content io.Reader = buffered
	if start, _ := buffered.Peek(2); len(start) == 2 && start[0] == 0x1f && start[1] == 0x8b {
		if content, err = gzip.NewReader(buffered); err != nil {
			return nil, errors.Join(err, source.Close())
		}
	}
	return struct {
		io.Reader
		io.Closer
	}{content, source}, nil
}

func walk(open tarball.Opener, visit func(*tar.Header, io.Reader) error) error {
	source, err := open()
	if err != nil {
		return err
	}
	return errors.Join(walkEntries(tar.NewReader(source), visit), source.Close())
}

func walkEntries(entries *tar.Reader, visit func(*tar.Header, io.Reader) error) error {
	for {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := visit(header, entries); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

// unpack writes the archive's files below folder and nowhere else, whatever names they carry.
func unpack(open tarball.Opener, folder string) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	err = walk(open, func(header *tar.Header, content io.Reader) error {
		if header.Typeflag != tar.TypeReg {
			return nil
		}
		entry := path.Clean(header.Name)
		if err := root.MkdirAll(path.Dir(entry), 0o755); err != nil {
			return err
		}
		target, err := root.Create(entry)
		if err != nil {
			return err
		}
		_, err = io.Copy(target, content)
		return errors.Join(err, target.Close())
	})
	return errors.Join(err, root.Close())
}
