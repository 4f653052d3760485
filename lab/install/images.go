package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"kruise.io/kruise/lab/images"
)

// program is one program of the product, and where the chart takes its image from.
type program struct {
	// name is that of the file, and of the program in its image.
	name string
	// repository is the public name of the image.
	repository string
	// values is the part of the chart's values with the fields image and affinity.
	values string
}

// programs are all programs that run in a cluster.
func programs() []program {
	return []program{
		{name: "kruise-manager", repository: "docker.io/openkruise/kruise-manager", values: "manager"},
		{name: "kruise-daemon", repository: "docker.io/openkruise/kruise-daemon", values: "daemon"},
	}
}

// push makes the image of the program, sends it to the registry, and returns its tag, which names its content.
func (p program) push(ctx context.Context, registry, bin string) (string, error) {
	file := filepath.Join(bin, p.name)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is not there: build the product first (make build)", file)
	}
	image, err := images.Static(images.Spec{
		Programs:     map[string]string{p.name: file},
		Entrypoint:   []string{"/" + p.name},
		Certificates: true,
	})
	if err != nil {
		return "", fmt.Errorf("make the image of %s: %w", p.name, err)
	}
	digest, err := image.Digest()
	if err != nil {
		return "", fmt.Errorf("compute the digest of the image of %s: %w", p.name, err)
	}
	tag := "lab-" + digest.Hex[:12]
	return tag, images.Push(ctx, registry, p.repository+":"+tag, image)
}
