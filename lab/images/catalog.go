package images

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Pause is the image that holds every pod's namespaces open; containerd's configuration names it.
const Pause = "registry.k8s.io/pause:3.10"

// demoNames are the names of the demo server. In the lab's registry they are one, since the host of a name is dropped there.
func demoNames(tag string) []string {
	return []string{
		"openkruise-registry.cn-shanghai.cr.aliyuncs.com/openkruise/demo:" + tag,
		"docker.io/openkruise/demo:" + tag,
	}
}

// demoVersions are the versions of the demo server, each a program and a layer of its own, with further tags that name the
// very same image: a change to one of those changes the name alone and no digest.
func demoVersions() map[string][]string {
	return map[string][]string{
		"1.10.2": {"1.10.2-same"},
		"1.10.3": {"latest"},
		"1.10.4": nil, // of this, 1.10.6 and 1.10.7 no kubelet hears in the tests, but by what they say about pulling ahead
		"1.10.5": nil,
		"1.10.6": nil,
		"1.10.7": nil,
	}
}

// Catalog makes the images that the lab's registry holds from the start. It compiles their programs from the module (a
// checkout of this project) into the folder bin. busybox, the path of a static
// one on this machine, is optional: without it its image is left out, and missing says why.
func Catalog(ctx context.Context, module, bin, busybox string) (images []Named, missing string, err error) {
	pause, err := compile(ctx, module, bin, "pause", "./lab/pause", "")
	if err != nil {
		return nil, "", err
	}
	image, err := Static(Spec{Programs: map[string]string{"pause": pause}, Entrypoint: []string{"/pause"}})
	if err != nil {
		return nil, "", fmt.Errorf("make the image of pause: %w", err)
	}
	images = append(images, Named{Refs: []string{Pause}, Image: image})
	versions := demoVersions()
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		demo, err := Demo(ctx, module, bin, version)
		if err != nil {
			return nil, "", err
		}
		for _, tag := range versions[version] {
			demo.Refs = append(demo.Refs, demoNames(tag)...)
		}
		images = append(images, demo)
	}
	box, err := Busybox(ctx, busybox)
	if errors.Is(err, errNoBusybox) || errors.Is(err, errNotStatic) {
		return images, err.Error(), nil
	}
	if err != nil {
		return nil, "", err
	}
	return append(images, box), "", nil
}

// Demo makes one version of the demo server, with both of its names.
func Demo(ctx context.Context, module, bin, version string) (Named, error) {
	program, err := compile(ctx, module, bin, "demo-"+version, "./lab/demo", "-X main.version="+version)
	if err != nil {
		return Named{}, err
	}
	image, err := Static(Spec{
		Programs:   map[string]string{"demo": program},
		Entrypoint: []string{"/demo"},
		Ports:      []string{"8080/tcp"},
		Labels:     map[string]string{"org.opencontainers.image.version": version},
	})
	if err != nil {
		return Named{}, fmt.Errorf("make the image of demo %s: %w", version, err)
	}
	return Named{Refs: demoNames(version), Image: image}, nil
}

var errNoBusybox = errors.New("there is no busybox on this machine")

// Busybox makes an image of a static busybox with a link for each of its commands.
func Busybox(ctx context.Context, program string) (Named, error) {
	const remedy = "no busybox image (Debian's package busybox-static brings what it needs)"
	if _, err := os.Stat(program); err != nil {
		return Named{}, fmt.Errorf("%s: %w", remedy, errNoBusybox)
	}
	list, err := exec.CommandContext(ctx, program, "--list").Output()
	if err != nil {
		return Named{}, fmt.Errorf("ask %s for its commands: %w", program, err)
	}
	links := map[string]string{}
	for command := range strings.FieldsSeq(string(list)) {
		if command != "busybox" {
			links["bin/"+command] = "busybox"
		}
	}
	image, err := Static(Spec{
		Programs: map[string]string{"bin/busybox": program},
		Links:    links,
		Command:  []string{"sh"},
		User:     "0:0",
	})
	if err != nil {
		return Named{}, fmt.Errorf("%s: %w", remedy, err)
	}
	return Named{Refs: []string{"docker.io/library/busybox:latest"}, Image: image}, nil
}

// compile builds one program of the module the same way everywhere: static, and without paths or times of this machine.
func compile(ctx context.Context, module, bin, program, pkg, flags string) (string, error) {
	target, err := filepath.Abs(filepath.Join(bin, program))
	if err != nil {
		return "", fmt.Errorf("place of the program %s: %w", program, err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= "+flags, "-o", target, pkg)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s of %s: %w\n%s", pkg, module, err, output.String())
	}
	return target, nil
}
