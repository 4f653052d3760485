package cluster

import (
	"bytes"
	"embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed templates
var templates embed.FS

// settings are what the configuration files of the components depend on. Each file uses some of them.
type settings struct {
	Address    netip.Addr
	Cgroup     string
	Dir        string
	DNS        netip.Addr
	Kubeconfig string
	Pause      string
	Pods       netip.Prefix
	Registry   string
	// Users is the file with those who may pull from a registry; empty for everybody.
	Users string
}

// render fills in one of the templates.
func render(name string, s settings) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, fmt.Errorf("reading the template of %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, s); err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// writeConfig renders a template into a file.
func writeConfig(path, name string, s settings) error {
	data, err := render(name, s)
	if err != nil {
		return err
	}
	return write(path, data)
}

// write writes a file and makes the folders above it. Most of these files hold keys, so nobody else may read them.
func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the folder of %s: %w", path, err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
