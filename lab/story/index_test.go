package story_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

const index = "../../docs/concepts/stories.md"

// go test ./lab/story -update writes the index anew.
func TestTheIndexTellsWhatEveryStoryIsAbout(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	var b strings.Builder
	b.WriteString(`<!-- Made from the first lines of the stories by "go test ./lab/story -update". Do not edit. -->

# Rollouts, told as stories

Each story is a workload, a script of what happens to it, and a log of what comes of it in a modelled cluster: which pods there
are in each second, what the controller does and why, and what it waits for. The logs are tests: a rollout that goes otherwise
fails them. What the words of the scripts mean is in [lab/story/doc.go](../../lab/story/doc.go).

`)
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(archive.Comment), "\n")
		if !strings.HasSuffix(first, ".") {
			t.Errorf("%s: the first line is no sentence: %q", name, first)
		}
		base := filepath.Base(name)
		fmt.Fprintf(&b, "- [%s](../../lab/story/testdata/%s): %s\n", strings.TrimSuffix(base, ".txtar"), base, first)
	}
	if *update {
		if err := os.WriteFile(index, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(got)); diff != "" {
		t.Errorf("run with -update (-want +got):\n%s", diff)
	}
}
