package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// writeValuesReference writes a table of the chart's values from the comments of values.yaml, where a user reads them
// too. A value without a comment is an error.
func writeValuesReference(file, chart string) error {
	source := filepath.Join(chart, "values.yaml")
	text, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("reading the values of the chart: %w", err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return fmt.Errorf("reading %s: %w", source, err)
	}
	var page strings.Builder
	page.WriteString("<!-- " + generatedBy + " -->\n\n# Values of the Helm chart\n\n" +
		"`values.schema.json` in the chart refuses what is not listed here.\n\n" +
		"| Value | Default | Meaning |\n|---|---|---|\n")
	if err := writeValues(&page, "", document.Content[0]); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	return write(file, page.String())
}

// writeValues writes a row for each value. A mapping whose own keys have comments is a group of values; any other mapping
// is one value.
func writeValues(page *strings.Builder, path string, mapping *yaml.Node) error {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		comment := strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(key.HeadComment, "# ", ""), "\n", " "))
		if comment == "" {
			return fmt.Errorf("line %d: the value %s has no comment above it that says what it means", key.Line, at)
		}
		if isGroup(value) {
			if err := writeValues(page, at, value); err != nil {
				return err
			}
			continue
		}
		fallback, err := flow(value)
		if err != nil {
			return fmt.Errorf("line %d: %w", key.Line, err)
		}
		fmt.Fprintf(page, "| `%s` | `%s` | %s |\n", at, fallback, cell(comment))
	}
	return nil
}

func isGroup(value *yaml.Node) bool {
	return value.Kind == yaml.MappingNode && len(value.Content) > 0 && value.Content[0].HeadComment != ""
}

// flow shows a value on one line.
func flow(value *yaml.Node) (string, error) {
	var plain any
	if err := value.Decode(&plain); err != nil {
		return "", fmt.Errorf("reading a value: %w", err)
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return "", fmt.Errorf("showing a value: %w", err)
	}
	return string(text), nil
}
