package lifecycle_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kruise.io/kruise/plan/lifecycle"
)

var update = flag.Bool("update", false, "write the document anew")

// The document is made from the table: go test ./plan/lifecycle -update writes it.
func TestTheDocumentSaysWhatTheTableDoes(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "concepts", "lifecycle.md")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(document()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(document(), string(have)); diff != "" {
		t.Errorf("%s is out of date; run the test with -update (-want +got):\n%s", file, diff)
	}
}

func document() string {
	var b strings.Builder
	b.WriteString(introduction)
	b.WriteString("```mermaid\nstateDiagram-v2\n    state \"any state but PreparingDelete\" as Any\n")
	drawn := map[string]bool{}
	for _, line := range lifecycle.Transitions() {
		arrow := fmt.Sprintf("    %s --> %s\n", drawing(line.From), drawing(line.To))
		if !drawn[arrow] {
			b.WriteString(arrow)
		}
		drawn[arrow] = true
	}
	b.WriteString("```\n\n")

	b.WriteString("## What a pod does by itself\n\nThe first line that applies wins; where none does, the pod stays.\n\n")
	table(&b, []string{"From", "To", "When"}, func(line lifecycle.Transition) []string {
		if line.On != lifecycle.ByItself {
			return nil
		}
		return []string{said(line.From), said(line.To), line.When}
	})
	b.WriteString("\n## What the workload's plan decides\n\nOf the lines for the same decision the first one that applies wins.\n\n")
	table(&b, []string{"What is decided", "From", "To", "When"}, func(line lifecycle.Transition) []string {
		if line.On == lifecycle.ByItself {
			return nil
		}
		return []string{line.On.String(), said(line.From), said(line.To), line.When}
	})
	return b.String()
}

// table writes the cells that each line of the table has, if it has any.
func table(b *strings.Builder, heads []string, cells func(lifecycle.Transition) []string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat("---|", len(heads)))
	for _, line := range lifecycle.Transitions() {
		if c := cells(line); c != nil {
			fmt.Fprintf(b, "| %s |\n", strings.Join(c, " | "))
		}
	}
}

// drawing is a state as the diagram has it.
func drawing(s lifecycle.State) string {
	if s == lifecycle.Absent {
		return "[*]"
	}
	return string(s)
}

// said is a state as the tables have it.
func said(s lifecycle.State) string {
	switch s {
	case lifecycle.Absent:
		return "no pod"
	case lifecycle.Any:
		return "any but PreparingDelete"
	default:
		return string(s)
	}
}

const introduction = `<!-- Made from the table in plan/lifecycle by "go test ./plan/lifecycle -update". Do not edit. -->

# The life cycle of a pod

A workload keeps the state of each pod in the label ` + "`lifecycle.apps.kruise.io/state`" + `. A pod counts as available only in the
state Normal, or without the label. Hooks in ` + "`spec.lifecycle`" + ` let others hold a pod at three points: before it counts as
available (preNormal), before and after its update in place (inPlaceUpdate), and before its deletion (preDelete). A hook
is a set of labels and finalizers, its entries. Before an update or a deletion the workload waits until no entry is left
on the pod; before the pod counts as available it waits until all are there. Without hooks a pod passes through Updating
alone, and only when a container restarts for its update.

`
