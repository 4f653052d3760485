package simulate

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write what the stages do into the files of testdata, to be read before it is committed")

// outcome is what the player writes.
type outcome struct {
	Fits    []string `json:"fits"`
	Delay   string   `json:"delay"`
	Deleted bool     `json:"deleted"`
	After   struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              map[string]any `json:"spec"`
		Status            map[string]any `json:"status"`
	} `json:"after"`
}

// player builds KWOK's own code around one object and returns a function that plays one stage.
func player(t *testing.T) func(t *testing.T, object []byte) outcome {
	t.Helper()
	program, config := filepath.Join(t.TempDir(), "play"), filepath.Join(t.TempDir(), "kwok.yaml")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = "play"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the player: %v\n%s", err, out)
	}
	text, err := Config()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, object []byte) (played outcome) {
		t.Helper()
		play := exec.CommandContext(t.Context(), program, config)
		var problems bytes.Buffer
		play.Stdin, play.Stderr = bytes.NewReader(object), &problems
		out, err := play.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, problems.String())
		}
		if err := yaml.UnmarshalStrict(out, &played); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return played
	}
}

func TestStagesDoWhatAKubeletWouldDo(t *testing.T) {
	play := player(t)
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(archive.Files) != 2 {
				t.Fatalf("%s holds %d files, want before.yaml and after.yaml", file, len(archive.Files))
			}
			outcome := play(t, archive.Files[0].Data)
			if len(outcome.Fits) > 1 {
				t.Errorf("%v fit, and KWOK would play any one of them", outcome.Fits)
			}
			after, err := yaml.Marshal(map[string]any{
				"fits": outcome.Fits, "delay": outcome.Delay, "deleted": outcome.Deleted, "status": outcome.After.Status,
			})
			if err != nil {
				t.Fatal(err)
			}
			got := string(after)
			if *update {
				archive.Files[1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), got); diff != "" {
				t.Errorf("the stage does something else (-want +got):\n%s", diff)
			}
		})
	}
}
