package checkout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheWorkingCopyIsFoundFromADeepFolderAndNestedModulesAreStepsOnTheWay(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "lab", "nested", "deep")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(root, "go.mod"):                  "module " + Module + "\n",
		filepath.Join(root, "lab", "nested", "go.mod"): "module " + Module + "/lab/nested\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(deep)
	got, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := filepath.EvalSymlinks(root); got != want && got != root {
		t.Fatalf("got %s, want %s", got, root)
	}
}

func TestOutsideOfTheRepositoryTheErrorSaysWhereItLookedAndWhatToDo(t *testing.T) {
	elsewhere := t.TempDir()
	t.Chdir(elsewhere)
	_, err := Root()
	if err == nil {
		t.Fatal("a working copy was found where there is none")
	}
	for _, want := range []string{filepath.Base(elsewhere), "inside the repository"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %q", err, want)
		}
	}
}
