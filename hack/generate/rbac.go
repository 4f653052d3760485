package main

import (
	"fmt"
	"maps"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// configNamespace is the namespace from which nodes read.
const configNamespace = "kruise-daemon-config"

// ruleFiles are the files for the rules of each program: those of its ClusterRole, and those of its Roles by namespace.
func ruleFiles() map[string]map[string]string {
	return map[string]map[string]string{
		"manager": {"": "cluster.yaml", namespace: "namespace.yaml", configNamespace: "daemon-config.yaml"},
		"daemon":  {"": "daemon.yaml", configNamespace: "daemon-secrets.yaml"},
	}
}

// writeRules writes the rules of a program's roles: those for the whole cluster, and those for single namespaces. The chart
// puts names and namespaces around them. files names the file of each namespace, "" for the whole cluster.
func writeRules(dir string, roles []map[string]any, files map[string]string) error {
	left := maps.Clone(files)
	for _, role := range roles {
		in, _, err := unstructured.NestedString(role, "metadata", "namespace")
		if err != nil {
			return fmt.Errorf("reading a role: %w", err)
		}
		file, ok := left[in]
		if !ok {
			return fmt.Errorf("a marker asks for a role in namespace %q, for which there is no file", in)
		}
		delete(left, in)
		if err := writeYAML(filepath.Join(dir, file), map[string]any{"rules": role["rules"]}); err != nil {
			return err
		}
	}
	for in := range left {
		return fmt.Errorf("no marker asks for a role in namespace %q", in)
	}
	return nil
}
