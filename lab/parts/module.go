package parts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/modfile"

	"kruise.io/kruise/lab/progress"
)

// module is a nested Go module that pins one upstream project.
type module struct {
	dir string
	// pins is the text of go.mod and go.sum.
	pins string
	// versions maps what go.mod requires to its version.
	versions map[string]string
	// toolchain is the version and target of the go command for this module.
	toolchain string
}

// newBuilder reads the pins of every module that the sources name.
func newBuilder(ctx context.Context, opts Options, sources []source) (*builder, error) {
	if opts.Cache == "" {
		cache, err := DefaultCache()
		if err != nil {
			return nil, err
		}
		opts.Cache = cache
	}
	if opts.Progress == nil {
		opts.Progress = progress.New(io.Discard)
	}
	b := &builder{opts: opts, sources: sources, modules: map[string]module{}}
	for _, s := range sources {
		if _, known := b.modules[s.module]; known {
			continue
		}
		m, err := readModule(ctx, filepath.Join(opts.Root, "lab", "parts", "modules", s.module))
		if err != nil {
			return nil, err
		}
		b.modules[s.module] = m
	}
	if err := b.chooseKubernetes(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// readModule reads the pins of one module.
func readModule(ctx context.Context, dir string) (module, error) {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return module{}, fmt.Errorf("reading what pins the parts of the lab: %w", err)
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return module{}, fmt.Errorf("reading what pins the parts of the lab: %w", err)
	}
	parsed, err := modfile.ParseLax("go.mod", mod, nil)
	if err != nil {
		return module{}, fmt.Errorf("reading what pins the parts of the lab: %w", err)
	}
	m := module{dir: dir, pins: string(mod) + string(sum), versions: map[string]string{}}
	for _, require := range parsed.Require {
		m.versions[require.Mod.Path] = require.Mod.Version
	}
	env, err := goCommand(ctx, dir, nil, "env", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return module{}, err
	}
	m.toolchain = strings.Join(strings.Fields(string(env)), " ")
	return m, nil
}

// chooseKubernetes replaces the pinned module of Kubernetes when another version is asked for.
func (b *builder) chooseKubernetes(ctx context.Context) error {
	version := "v" + strings.TrimPrefix(b.opts.Kubernetes, "v")
	if b.opts.Kubernetes == "" || version == b.modules["kubernetes"].versions[kubernetesModule] {
		return nil
	}
	if !regexp.MustCompile(`^v1\.\d+\.\d+$`).MatchString(version) {
		return fmt.Errorf("%q is no version of Kubernetes: give one such as 1.35.4", b.opts.Kubernetes)
	}
	dir := filepath.Join(b.opts.Cache, "modules", "kubernetes-"+version)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		err := b.opts.Progress.Do("resolving Kubernetes "+version, func() error { return b.deriveKubernetes(ctx, version, dir) })
		if err != nil {
			return err
		}
	}
	m, err := readModule(ctx, dir)
	if err != nil {
		return err
	}
	b.modules["kubernetes"] = m
	return nil
}

// deriveKubernetes writes a module in the cache that pins another version of Kubernetes. The go.mod of Kubernetes
// replaces its staging modules by folders beside it; a module that requires it has to replace them by the releases
// that belong to the same version.
func (b *builder) deriveKubernetes(ctx context.Context, version, dir string) error {
	unlock, err := b.lock(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	unfinished := dir + ".unfinished"
	if err := errors.Join(os.RemoveAll(unfinished), os.MkdirAll(unfinished, 0o755)); err != nil {
		return fmt.Errorf("making a module for Kubernetes %s: %w", version, err)
	}
	download, err := goCommand(ctx, unfinished, nil, "mod", "download", "-json", kubernetesModule+"@"+version)
	if err != nil {
		return fmt.Errorf("downloading Kubernetes %s: %w", version, err)
	}
	var info struct{ GoMod string }
	if err := json.Unmarshal(download, &info); err != nil {
		return fmt.Errorf("downloading Kubernetes %s: %w", version, err)
	}
	upstream, err := os.ReadFile(info.GoMod)
	if err != nil {
		return fmt.Errorf("reading the go.mod of Kubernetes %s: %w", version, err)
	}
	mod, err := kubernetesGoMod(upstream, version)
	if err != nil {
		return fmt.Errorf("making a module for Kubernetes %s: %w", version, err)
	}
	if err := os.WriteFile(filepath.Join(unfinished, "go.mod"), mod, 0o644); err != nil {
		return fmt.Errorf("making a module for Kubernetes %s: %w", version, err)
	}
	if _, err := goCommand(ctx, unfinished, []string{"GOFLAGS=-mod=mod"}, "mod", "tidy"); err != nil {
		return fmt.Errorf("resolving the dependencies of Kubernetes %s: %w", version, err)
	}
	if err := os.Rename(unfinished, dir); err != nil {
		return fmt.Errorf("moving the module for Kubernetes %s into the cache: %w", version, err)
	}
	return nil
}

// kubernetesGoMod returns a go.mod that requires one version of Kubernetes, given the go.mod of that version.
func kubernetesGoMod(upstream []byte, version string) ([]byte, error) {
	theirs, err := modfile.Parse("go.mod", upstream, nil)
	if err != nil {
		return nil, err
	}
	var ours modfile.File
	if err := ours.AddModuleStmt("kruise.io/kruise/lab/parts/modules/kubernetes"); err != nil {
		return nil, err
	}
	// Their language version decides the defaults of GODEBUG that their programs were tested with. Tools in go.mod
	// came with 1.24, and the go command raises the line by itself where it must.
	if err := ours.AddGoStmt(theirs.Go.Version); err != nil {
		return nil, err
	}
	if err := ours.AddRequire(kubernetesModule, version); err != nil {
		return nil, err
	}
	staging := "v0." + strings.TrimPrefix(version, "v1.")
	for _, replace := range theirs.Replace {
		if !strings.HasPrefix(replace.New.Path, "./") {
			continue
		}
		if err := ours.AddReplace(replace.Old.Path, "", replace.Old.Path, staging); err != nil {
			return nil, err
		}
	}
	for _, s := range catalogue() {
		if s.upstream != kubernetesModule {
			continue
		}
		if err := ours.AddTool(s.pkg); err != nil {
			return nil, err
		}
	}
	return ours.Format()
}
