package main

import (
	"fmt"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// configNamespace is the namespace from which nodes read.
const configNamespace = "kruise-daemon-config"

// writeRules writes the rules of the manager's roles: those for the whole cluster, and those for its own namespace and for
// the one from which nodes read. The chart puts names and namespaces around them.
func writeRules(dir string, roles []map[string]any) error {
	files := map[string]string{"": "cluster.yaml", namespace: "namespace.yaml", configNamespace: "daemon-config.yaml"}
	for _, role := range roles {
		in, _, err := unstructured.NestedString(role, "metadata", "namespace")
		if err != nil {
			return fmt.Errorf("a role without metadata: %w", err)
		}
		file, ok := files[in]
		if !ok {
			return fmt.Errorf("a role in namespace %q: the markers may name %s and %s", in, namespace, configNamespace)
		}
		delete(files, in)
		if err := writeYAML(filepath.Join(dir, file), map[string]any{"rules": role["rules"]}); err != nil {
			return err
		}
	}
	for in := range files {
		return fmt.Errorf("no marker asks for a right in namespace %q", in)
	}
	return nil
}
