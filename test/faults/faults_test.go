package faults

import (
	"flag"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	ctrl "sigs.k8s.io/controller-runtime"
)

var (
	first = flag.Uint64("first", 1, "the first seed")
	seeds = flag.Int("seeds", usualSeeds, "how many seeds to run")
	soak  = flag.Duration("soak", 0, "instead, run seeds that nobody ran before for so long")
	tell  = flag.Bool("tell", false, "tell what happened in each run")
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	debug.SetGCPercent(400) // thousands of small worlds: memory for time
	os.Exit(m.Run())
}

// mostFailures is how many failing seeds are worth making short and reading.
const mostFailures = 5

func TestWhateverHappensThePromisesHoldAndTheRolloutComesToItsEnd(t *testing.T) {
	for _, of := range workloads {
		t.Run(of.name, func(t *testing.T) { runSeeds(t, of) })
	}
}

// runSeeds runs the seeds that were asked for, of one kind of workload.
func runSeeds(t *testing.T, of *kind) {
	t.Helper()
	next, last, until := *first, *first+(uint64(*seeds)+of.share-1)/of.share, time.Time{}
	if *soak > 0 {
		until = time.Now().Add(*soak / time.Duration(len(workloads)))
		next = uint64(until.UnixNano()) >> 10
	}
	began, told, failed := time.Now(), time.Now(), 0
	var sum Result
	runs := 0
	for ; (*soak > 0 && time.Now().Before(until) || *soak == 0 && next < last) && failed < mostFailures; next++ {
		script := Generate(of, next)
		r := Run(t, script, Mutant{})
		runs, sum = runs+1, Result{Requests: sum.Requests + r.Requests, Reconciles: sum.Reconciles + r.Reconciles, Faults: sum.Faults + r.Faults}
		if *tell {
			t.Logf("seed %d:\n%s", next, strings.Join(r.Trace, "\n"))
		}
		if r.Failure != nil {
			failed++
			explain(t, script, r.Failure)
		}
		if *soak > 0 && time.Since(told) > 10*time.Second {
			told = time.Now()
			t.Logf("%d seeds, the latest is %d, %d failed, %d requests, %d faults", runs, next, failed, sum.Requests, sum.Faults)
		}
	}
	t.Logf("%d seeds in %s: %d reconciles, %d requests, %d faults", runs, time.Since(began).Round(time.Millisecond), sum.Reconciles, sum.Requests, sum.Faults)
}

// explain makes a script that failed short, and tells what happens in it.
func explain(t *testing.T, script Script, failure error) {
	t.Helper()
	short := Shrink(t, script, Mutant{})
	r := Run(t, short, Mutant{})
	t.Errorf("seed %d: %v\n\nAgain: go test ./test/faults -run TestWhatever/%s -first %d -seeds 1\n\n"+
		"A shorter script that fails alike, for testdata:\n%s\nWhat happens in it:\n%s",
		script.Seed, failure, script.Kind.name, script.Seed, short.Format("Says what must hold."), strings.Join(r.Trace, "\n"))
}

func TestScriptsThatOnceFailed(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			if r := Run(t, read(t, file), Mutant{}); r.Failure != nil {
				t.Errorf("%v\n%s", r.Failure, strings.Join(r.Trace, "\n"))
			}
		})
	}
}

func read(t *testing.T, file string) Script {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	script, err := Read(archive)
	if err != nil {
		t.Fatal(err)
	}
	return script
}

func TestTheSameSeedIsTheSameRun(t *testing.T) {
	for seed := range uint64(20) {
		of := workloads[seed%uint64(len(workloads))]
		once, again := Run(t, Generate(of, seed), Mutant{}), Run(t, Generate(of, seed), Mutant{})
		if diff := cmp.Diff(once.Trace, again.Trace); diff != "" {
			t.Errorf("seed %d gives two runs:\n%s", seed, diff)
		}
	}
}

func TestAScriptThatIsWrittenDownIsTheSameScript(t *testing.T) {
	for seed := range uint64(20) {
		script := Generate(workloads[seed%uint64(len(workloads))], seed)
		copied, err := Read(txtar.Parse([]byte(script.Format("about"))))
		if err != nil {
			t.Fatal(err)
		}
		if a, b := script.Format(""), copied.Format(""); a != b {
			t.Errorf("seed %d: %s\nand\n%s", seed, a, b)
		}
	}
}

// A quota that stays is tried less and less often, and told without an end by neither the status nor the events.
func TestARefusalThatStaysIsTriedLessAndLess(t *testing.T) {
	for _, of := range workloads {
		t.Run(of.name, func(t *testing.T) { refuseForLong(t, of) })
	}
}

func refuseForLong(t *testing.T, of *kind) {
	t.Helper()
	script := Script{Seed: 1, Kind: of, Set: Generate(of, 1).Set, Lines: []string{"refuse create Pod Forbidden", "go 2m", "go 10m"}}
	if of.guests {
		script.Lines = []string{"come 1", "go 12s", "image cold=side:2", "refuse patch Pod Forbidden", "go 2m", "go 10m"}
	}
	r := Run(t, script, Mutant{})
	if r.Failure != nil {
		t.Fatal(r.Failure)
	}
	begin := slices.IndexFunc(r.Trace, func(line string) bool { return strings.HasSuffix(line, "> go 10m") })
	end := slices.IndexFunc(r.Trace, func(line string) bool { return strings.HasSuffix(line, "> the faults end") })
	count := func(what string) (n int) {
		for _, line := range r.Trace[begin:end] {
			if strings.Contains(line, what) {
				n++
			}
		}
		return n
	}
	for what, most := range map[string]int{": refused: ": 21, "patch " + of.name: 0, " event ": 21} {
		if n := count(what); n > most {
			t.Errorf("%d × %q in ten minutes, at most %d are enough:\n%s", n, what, most, strings.Join(r.Trace[begin:end], "\n"))
		}
	}
}
