package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// isolate furnishes the fresh namespaces of this process.
func isolate(spec Spec) error {
	if err := unix.Sethostname([]byte(spec.Name)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	// First cut the ties to the mounts of the host, so that nothing done here is seen there.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	// A process namespace of its own needs a /proc that shows it.
	if err := mount(Mount{Type: "proc", Target: "/proc"}); err != nil {
		return err
	}
	for _, m := range spec.Mounts {
		if err := mount(m); err != nil {
			return err
		}
	}
	// Mounts that a container makes for its node must reach the other containers there.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("making mounts shared: %w", err)
	}
	for name, value := range spec.Sysctls {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o600); err != nil {
			return fmt.Errorf("setting %s to %s: %w", name, value, err)
		}
	}
	return nil
}

func mount(m Mount) error {
	var err error
	switch {
	case m.Bind != "":
		err = unix.Mount(m.Bind, m.Target, "", unix.MS_BIND|unix.MS_REC, "")
	case m.Type != "":
		err = unix.Mount(m.Type, m.Target, m.Type, unix.MS_NOSUID|unix.MS_NODEV, "")
	default:
		err = cover(m.Target, m.Text)
	}
	if err != nil {
		return fmt.Errorf("mounting %s: %w", m.Target, err)
	}
	return nil
}

// cover puts a file with another text over a file.
func cover(target, text string) error {
	file, err := os.CreateTemp("/run", "cover-")
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	// The mount keeps the file alive; its name is no longer needed.
	return errors.Join(unix.Mount(file.Name(), target, "", unix.MS_BIND, ""), os.Remove(file.Name()))
}
