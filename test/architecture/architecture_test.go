package architecture_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kruise.io/kruise/test/architecture"
)

const (
	root   = "../.."
	module = "kruise.io/kruise"
)

func rules(t *testing.T) *architecture.Rules {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := architecture.ReadRules(string(text))
	if err != nil {
		t.Fatalf("ARCHITECTURE.md: %v", err)
	}
	return rules
}

func TestTheCodeKeepsTheRulesOfTheArchitecture(t *testing.T) {
	code, err := architecture.Load(os.DirFS(root), module)
	if err != nil {
		t.Fatal(err)
	}
	if len(code.Files) < 10 {
		t.Fatalf("only %d files found: the test looks in the wrong place", len(code.Files))
	}
	for _, violation := range architecture.Check(rules(t), code) {
		t.Error(violation)
	}
}

// Each archive in testdata is a small module that breaks rules, and the sentences that must come of it.
func TestEveryRuleCanFail(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files := fstest.MapFS{}
			var want string
			for _, file := range archive.Files {
				if file.Name == "want" {
					want = string(file.Data)
					continue
				}
				files[file.Name] = &fstest.MapFile{Data: file.Data}
			}
			code, err := architecture.Load(files, module)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(architecture.Check(rules(t), code), "\n") + "\n"
			if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestATableThatIsNotUnderstoodIsAnError(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"a column with another name":     {"| Folder | What it is |", "| Folder | Purpose |"},
		"a rule that nobody knows":       {"| never used anywhere |", "| never seen anywhere |"},
		"a size that is no number":       {"at most | 80 |", "at most | eighty |"},
		"a size that is missing":         {"| lines in a file, at most | 500 |\n", ""},
		"a row with a cell too many":     {"| `docs` |", "| `docs` | |"},
		"a cell without backquotes":      {"| `api`, `plan`, `kit` |", "| api |"},
		"the table of rules, taken away": {"| Rule | Value |\n|---|---|\n", "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(string(text), change[0], change[1], 1)
			if changed == string(text) {
				t.Fatalf("%q is not in ARCHITECTURE.md", change[0])
			}
			if _, err := architecture.ReadRules(changed); err == nil {
				t.Error("no error")
			}
		})
	}
}
