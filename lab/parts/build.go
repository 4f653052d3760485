package parts

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kruise.io/kruise/lab/preflight"
)

// Disk space that a cold build takes, together with Go's own caches.
const (
	spaceForKubernetes = 8e9
	spaceForOthers     = 3e9
)

// builder holds what is needed to build parts: where they come from, and the pins of each module.
type builder struct {
	opts    Options
	sources []source
	modules map[string]module
}

// key is the name of a built part in the cache: its version for people, and a hash of everything that shapes it.
func (b *builder) key(s source) string {
	m := b.modules[s.module]
	version := m.versions[s.upstream]
	hash := sha256.New()
	for _, input := range []string{m.pins, m.toolchain, s.pkg, s.tags, s.ldflags(version)} {
		fmt.Fprintf(hash, "%d %s\n", len(input), input)
	}
	return version + "-" + hex.EncodeToString(hash.Sum(nil))[:12]
}

// program is the path of a built part in the cache.
func (b *builder) program(s source) string {
	return filepath.Join(b.opts.Cache, "parts", string(s.part), b.key(s), string(s.part))
}

// missing returns the sources of those parts that the cache does not have.
func (b *builder) missing(wanted []Part) ([]source, error) {
	var missing []source
	for _, s := range b.sources {
		if !slices.Contains(wanted, s.part) {
			continue
		}
		_, err := os.Stat(b.program(s))
		if errors.Is(err, os.ErrNotExist) {
			missing = append(missing, s)
		} else if err != nil {
			return nil, fmt.Errorf("looking for %s in the cache: %w", s.part, err)
		}
	}
	return missing, nil
}

// checkMachine says what is wrong with this machine before a build of many minutes finds out.
func (b *builder) checkMachine(ctx context.Context, missing []source) error {
	if len(missing) == 0 {
		return nil
	}
	space := uint64(spaceForOthers)
	if slices.ContainsFunc(missing, func(s source) bool { return s.upstream == kubernetesModule }) {
		space = spaceForKubernetes
	}
	if err := preflight.Space(b.opts.Cache, space, "building the parts of the lab"); err != nil {
		return err
	}
	if !slices.ContainsFunc(missing, source.needsC) {
		return nil
	}
	if tools := preflight.Missing(ctx, preflight.ForC()); len(tools) > 0 {
		return preflight.MissingError{Tools: tools}
	}
	return nil
}

// build builds one part, unless another process does so at this moment and succeeds.
func (b *builder) build(ctx context.Context, s source) error {
	program := b.program(s)
	home := filepath.Dir(program)
	unlock, err := b.lock(ctx, home)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(program); err == nil {
		return nil
	}
	// Whoever holds the lock owns this folder: what lies in it is left from an interrupted build.
	unfinished := home + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("removing what an interrupted build of %s left: %w", s.part, err)
	}
	version := b.modules[s.module].versions[s.upstream]
	err = b.opts.Progress.Do(fmt.Sprintf("building %s %s", s.part, version), func() error { return b.compile(ctx, s, filepath.Join(unfinished, string(s.part))) })
	if err != nil {
		return errors.Join(err, os.RemoveAll(unfinished))
	}
	if err := os.Rename(unfinished, home); err != nil {
		return fmt.Errorf("moving %s into the cache: %w", s.part, err)
	}
	return nil
}

// compile runs the go command for one part. Flags given here win over those in GOFLAGS.
func (b *builder) compile(ctx context.Context, s source, output string) error {
	m := b.modules[s.module]
	args := []string{"build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-tags=" + s.tags,
		"-ldflags=" + s.ldflags(m.versions[s.upstream]), "-o", output, s.pkg}
	cgo := "CGO_ENABLED=0"
	if s.needsC() {
		cgo = "CGO_ENABLED=1"
	}
	if _, err := goCommand(ctx, m.dir, []string{cgo}, args...); err != nil {
		return fmt.Errorf("building %s: %w", s.part, err)
	}
	return nil
}

// link makes the folder in which parts lie side by side, as programs that look for each other expect. Hard links
// let the folder be mounted elsewhere; a part that changes gets a folder of another name, so links never change.
func (b *builder) link(wanted []Part) (string, error) {
	all := sha256.New()
	for _, s := range b.sources {
		fmt.Fprintln(all, s.part, b.key(s))
	}
	bin := filepath.Join(b.opts.Cache, "bin", "kubernetes-"+b.modules["kubernetes"].versions[kubernetesModule]+"-"+hex.EncodeToString(all.Sum(nil))[:12])
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", fmt.Errorf("making the folder of programs: %w", err)
	}
	for _, s := range b.sources {
		if !slices.Contains(wanted, s.part) {
			continue
		}
		if err := os.Link(b.program(s), filepath.Join(bin, string(s.part))); err != nil && !errors.Is(err, os.ErrExist) {
			return "", fmt.Errorf("putting %s beside the others: %w", s.part, err)
		}
	}
	return bin, nil
}

// goCommand runs the go command in a module and returns what it prints. Its complaints become the error.
func goCommand(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// The nested modules stand alone, whatever workspace surrounds them.
	cmd.Env = append(append(os.Environ(), "GOWORK=off"), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// An interrupt lets the go command remove its temporary folder.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("the go command is not in the search path: install Go 1.26 or later: %w", err)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("interrupted: %w", context.Cause(ctx))
		}
		// With -json, complaints are part of the output.
		said := cmp.Or(strings.TrimSpace(stderr.String()), strings.TrimSpace(stdout.String()))
		return nil, fmt.Errorf("go %s in %s: %w\n%s", args[0], dir, err, said)
	}
	return stdout.Bytes(), nil
}
