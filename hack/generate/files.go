package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

const generatedBy = "Made by make generate. Do not edit."

// readDocuments reads every YAML document of every file in a folder.
func readDocuments(dir string) ([]map[string]any, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", dir, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no YAML file: controller-gen found no marker", dir)
	}
	var documents []map[string]any
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading what controller-gen made: %w", err)
		}
		for part := range bytes.SplitSeq(text, []byte("\n---\n")) {
			var document map[string]any
			if err := yaml.Unmarshal(part, &document); err != nil {
				return nil, fmt.Errorf("reading %s: %w", file, err)
			}
			if document != nil {
				documents = append(documents, document)
			}
		}
	}
	return documents, nil
}

func writeYAML(file string, content any) error {
	text, err := yaml.Marshal(content)
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return write(file, "# "+generatedBy+"\n"+string(text))
}

func write(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("making room for %s: %w", file, err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}
