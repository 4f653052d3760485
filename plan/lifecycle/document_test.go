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
	b.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> Normal: created\n    [*] --> PreparingNormal: created, with a preNormal hook\n")
	drawn := map[string]bool{}
	for _, line := range append(lifecycle.Transitions(), byPlan()...) {
		arrow := fmt.Sprintf("    %s --> %s\n", line.From, line.To)
		if !drawn[arrow] {
			b.WriteString(arrow)
		}
		drawn[arrow] = true
	}
	b.WriteString("    PreparingDelete --> [*]: no preDelete entry is left\n```\n\n")

	b.WriteString("## What a pod does by itself\n\nThe first line that applies wins.\n\n")
	table(&b, lifecycle.Transitions())
	b.WriteString("\n## What the workload's plan decides\n\nWhat is said of Normal holds for pods that are not normal yet, too.\n\n")
	table(&b, byPlan())
	return b.String()
}

func table(b *strings.Builder, lines []lifecycle.Transition) {
	b.WriteString("| From | To | When |\n|---|---|---|\n")
	for _, line := range lines {
		fmt.Fprintf(b, "| %s | %s | %s |\n", line.From, line.To, line.When)
	}
}

// byPlan are the moves that are not in the table, since a budget or a user's wish decides them.
func byPlan() []lifecycle.Transition {
	return []lifecycle.Transition{
		{From: lifecycle.Normal, To: lifecycle.PreparingUpdate, When: "its turn to be updated in place, and an inPlaceUpdate entry is on the pod"},
		{From: lifecycle.Normal, To: lifecycle.Updating, When: "its turn to be updated in place, and no inPlaceUpdate entry is on the pod"},
		{From: lifecycle.PreparingUpdate, To: lifecycle.Updating, When: "no inPlaceUpdate entry is left on the pod"},
		{From: lifecycle.PreparingUpdate, To: lifecycle.Updated, When: "its update is not wanted any more: paused, kept by the partition, or refused"},
		{From: lifecycle.Normal, To: lifecycle.PreparingDelete, When: "it is to be deleted, and a preDelete entry is on the pod"},
		{From: lifecycle.PreparingDelete, To: lifecycle.PreparingNormal, When: "it was surplus, and is wanted again"},
	}
}

const introduction = `<!-- Made from the table in plan/lifecycle by "go test ./plan/lifecycle -update". Do not edit. -->

# The life cycle of a pod

A workload keeps the state of each pod in the label ` + "`lifecycle.apps.kruise.io/state`" + `. A pod counts as available only in the
state Normal, or without the label. Hooks in ` + "`spec.lifecycle`" + ` let others hold a pod at three points: before it counts as
available (preNormal), before and after its update in place (inPlaceUpdate), and before its deletion (preDelete). A hook
is a set of labels and finalizers, its entries. Before an update or a deletion the workload waits until no entry is left
on the pod; before the pod counts as available it waits until all are there. Without hooks a pod passes through Updating
alone.

`
