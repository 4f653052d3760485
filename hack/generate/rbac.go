package main

import (
	"fmt"
	"path/filepath"
)

// writeRules writes the rules of the manager's roles: those for the whole cluster, and those for its own namespace. The
// chart puts names and namespaces around them.
func writeRules(dir string, roles []map[string]any) error {
	files := map[string]string{"ClusterRole": "cluster.yaml", "Role": "namespace.yaml"}
	for _, role := range roles {
		kind, _ := role["kind"].(string)
		file, ok := files[kind]
		if !ok {
			return fmt.Errorf("a second role of kind %q: the markers must name one namespace only, %s", kind, namespace)
		}
		delete(files, kind)
		if err := writeYAML(filepath.Join(dir, file), map[string]any{"rules": role["rules"]}); err != nil {
			return err
		}
	}
	for kind := range files {
		return fmt.Errorf("no marker asks for a %s", kind)
	}
	return nil
}
