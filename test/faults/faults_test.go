package faults

import (
	"flag"
	"kruise.io/kruise/manager/cloneset"
	"strings"
	"testing"
	"time"
)

var (
	n       = flag.Int("n", 100, "")
	from    = flag.Int("from", 1, "")
	verbose = flag.Bool("tell", false, "")
)

func TestX(t *testing.T) {
	began := time.Now()
	bad := 0
	total := Result{}
	for s := *from; s < *from+*n; s++ {
		script := Generate(uint64(s))
		r := Run(t, script, cloneset.Options{}.NewReconciler, Mutant{})
		total.Requests += r.Requests
		total.Reconciles += r.Reconciles
		total.Faults += r.Faults
		if r.Failure != nil {
			bad++
			line, _, _ := strings.Cut(r.Failure.Error(), "\n")
			t.Errorf("seed %d: %v", s, line)
			if *verbose {
				script = Shrink(t, script, cloneset.Options{}.NewReconciler, Mutant{})
				r = Run(t, script, cloneset.Options{}.NewReconciler, Mutant{})
				t.Log("\n" + script.Format("") + "\n" + strings.Join(r.Trace, "\n"))
			}
		}
	}
	t.Logf("%d seeds, %d bad, %s, %+v", *n, bad, time.Since(began), total)
}
