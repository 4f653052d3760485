package story_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/types"

	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/replica"
)

var update = flag.Bool("update", false, "write the logs anew")

// The stories in testdata are to be read; go test ./lab/story -update writes their logs anew.
func TestEveryStoryGoesAsItsLogSays(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	all := told{}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			log, err := story.Watch(archive, all.listen())
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == story.Log })
			if i < 0 {
				i = len(archive.Files)
				archive.Files = append(archive.Files, txtar.File{Name: story.Log})
			}
			if diff := cmp.Diff(string(archive.Files[i].Data), log); diff != "" && !*update {
				t.Errorf("the story goes otherwise; run with -update if it should (-want +got):\n%s", diff)
			}
			if archive.Files[i].Data = []byte(log); *update {
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	t.Run("they tell of every line of the life cycle", all.check)
}

// told are the lines of the table of package lifecycle that stories tell of.
type told map[line]bool

// line names a line.
type line struct {
	on       lifecycle.Event
	from, to lifecycle.State
}

// listen returns what notes the moves of one story. A pod that is seen for the first time was created in its state.
func (all told) listen() func([]replica.Replica, []lifecycle.Transition) {
	known := map[types.UID]bool{}
	return func(seen []replica.Replica, moves []lifecycle.Transition) {
		for i := range seen {
			if r := &seen[i]; !known[r.UID] {
				known[r.UID] = true
				all[line{lifecycle.Create, lifecycle.Absent, r.State}] = true
			}
		}
		for _, m := range moves {
			all[line{m.On, m.From, m.To}] = true
		}
	}
}

// check finds lines that no story tells of: what never happens need not be in the table.
func (all told) check(t *testing.T) {
	t.Helper()
	for _, m := range lifecycle.Transitions() {
		if !all[line{m.On, m.From, m.To}] {
			t.Errorf("no story tells of a pod that goes from %s to %s when %s (%s)", m.From, m.To, m.On, m.When)
		}
	}
}

func TestAStoryThatCannotBePlayedNamesTheLine(t *testing.T) {
	for script, want := range map[string]string{
		"rest\njump":                 `script: line 2: jump: there is no verb "jump"`,
		"image other=web:2":          `there is no container "other"`,
		"patch spec: {replicsa: 3}":  `replicsa`,
		"label nobody a=b":           `"nobody" not found`,
		"wait long":                  `invalid duration`,
		"crash soon":                 `invalid syntax`,
		"gate Keeper":                `there is no gate "Keeper"`,
		"resize maybe":               `never says "maybe"`,
		"grow perhaps":               `never grow "perhaps"`,
		"delete-claim data-demo-z":   `there is no claim "data-demo-z"`,
		"images demo-z":              `there is no pod "demo-z"`,
		"bad web:1\nrest\nlose demo": "",
	} {
		archive := &txtar.Archive{Files: []txtar.File{
			{Name: story.Manifest, Data: []byte(manifest)}, {Name: story.Script, Data: []byte(script)},
		}}
		_, err := story.Play(archive)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: error %v, want %q", script, err, want)
		}
	}
}

func TestAManifestThatCannotBeReadIsNamed(t *testing.T) {
	archive := &txtar.Archive{Files: []txtar.File{{Name: story.Manifest, Data: []byte("spec: {colour: red}")}}}
	if _, err := story.Play(archive); err == nil || !bytes.Contains([]byte(err.Error()), []byte("cloneset.yaml")) {
		t.Errorf("error %v", err)
	}
}

const manifest = `
metadata: {name: demo}
spec: {replicas: 2, template: {spec: {containers: [{name: web, image: "web:1"}]}}}
`
