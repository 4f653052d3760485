package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// writeAPIReference writes what users can write, kind by kind and field by field. It is made from the CRDs and not from
// the Go types, so that it says what the API server enforces.
func writeAPIReference(file string, crds []map[string]any) error {
	var page strings.Builder
	page.WriteString("<!-- " + generatedBy + " -->\n\n# API reference\n\n" +
		"Every kind, every version, every field, as the API server checks them. Rules are in\n" +
		"[CEL](https://kubernetes.io/docs/reference/using-api/cel/) where no schema keyword says the same.\n")
	for _, crd := range crds {
		versions, err := versionsOf(crd)
		if err != nil {
			return err
		}
		slices.SortStableFunc(versions, storageFirst)
		kind, _, _ := unstructured.NestedString(crd, "spec", "names", "kind")
		group, _, _ := unstructured.NestedString(crd, "spec", "group")
		fmt.Fprintf(&page, "\n## %s\n\n%s\n", kind, description(versions[0].schema))
		for _, version := range versions {
			note := "converted"
			if version.storage {
				note = "stored"
			}
			fmt.Fprintf(&page, "\n### %s %s/%s\n\nThis version is %s.\n\n", kind, group, version.name, note)
			page.WriteString("| Field | Type | Default | Meaning and rules |\n|---|---|---|---|\n")
			writeFields(&page, "", version.schema)
		}
	}
	return write(file, page.String())
}

func storageFirst(a, b version) int {
	switch {
	case a.storage:
		return -1
	case b.storage:
		return 1
	}
	return 0
}

// writeFields writes a row for each field of an object, depth first.
func writeFields(page *strings.Builder, path string, schema map[string]any) {
	properties, _, _ := unstructured.NestedMap(schema, "properties")
	required, _, _ := unstructured.NestedStringSlice(schema, "required")
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		field, _ := properties[name].(map[string]any)
		at := strings.TrimPrefix(path+"."+name, ".")
		if path == "" && (name == "apiVersion" || name == "kind" || name == "metadata") {
			continue
		}
		fallback := ""
		if value, ok := field["default"]; ok {
			fallback = code(value)
		}
		said := []string{cell(description(field))}
		if slices.Contains(required, name) && !strings.HasPrefix(at, "status") {
			said = append(said, "Required.")
		}
		for _, rule := range rules(field) {
			said = append(said, cell(rule))
		}
		fmt.Fprintf(page, "| `%s` | %s | %s | %s |\n", at, typeOf(field), fallback, strings.Join(said, "<br>"))
		writeFields(page, at, field)
		if items, ok := field["items"].(map[string]any); ok {
			writeFields(page, at+"[]", items)
		}
		if values, ok := field["additionalProperties"].(map[string]any); ok {
			writeFields(page, at+".*", values)
		}
	}
}

func description(schema map[string]any) string {
	text, _ := schema["description"].(string)
	return strings.Join(strings.Fields(text), " ")
}

func typeOf(field map[string]any) string {
	if field["x-kubernetes-int-or-string"] == true {
		return "integer or string"
	}
	if items, ok := field["items"].(map[string]any); ok {
		return "list of " + typeOf(items)
	}
	if values, ok := field["additionalProperties"].(map[string]any); ok {
		return "map to " + typeOf(values)
	}
	if name, ok := field["type"].(string); ok {
		return name
	}
	return "any"
}

// rules puts the keywords and the CEL rules of a field into words.
func rules(field map[string]any) []string {
	var found []string
	for _, keyword := range []struct{ name, words string }{
		{"enum", "One of"}, {"minimum", "At least"}, {"maximum", "At most"}, {"minLength", "At least this many characters:"},
		{"maxLength", "At most this many characters:"}, {"minItems", "At least this many:"}, {"maxItems", "At most this many:"},
		{"pattern", "Matches"}, {"format", "Format"},
	} {
		if value, ok := field[keyword.name]; ok {
			found = append(found, keyword.words+" "+code(value)+".")
		}
	}
	switch keys, _, _ := unstructured.NestedStringSlice(field, "x-kubernetes-list-map-keys"); {
	case len(keys) > 0:
		found = append(found, "One entry for each "+strings.Join(keys, " and ")+".")
	case field["x-kubernetes-list-type"] == "set":
		found = append(found, "No duplicates.")
	}
	validations, _, _ := unstructured.NestedSlice(field, "x-kubernetes-validations")
	for _, validation := range validations {
		if validation, ok := validation.(map[string]any); ok {
			found = append(found, fmt.Sprintf("Rule: %v.", validation["message"]))
		}
	}
	return found
}

// code shows a value as JSON in backquotes; the words of a list one by one.
func code(value any) string {
	if list, ok := value.([]any); ok && len(list) > 0 {
		var parts []string
		for _, item := range list {
			parts = append(parts, code(item))
		}
		return strings.Join(parts, ", ")
	}
	if text, ok := value.(string); ok {
		return "`" + strings.ReplaceAll(text, "|", "\\|") + "`"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("`%v`", value)
	}
	return "`" + string(text) + "`"
}

// cell keeps text from being read as the end of a cell or as HTML.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", ">", "&gt;").Replace(text)
}
