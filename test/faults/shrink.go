package faults

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Shrink makes a script that breaks a promise shorter, as long as the same promise is broken: it leaves out lines, and
// then parts of the workload.
func Shrink(t *testing.T, script Script, mutant Mutant) Script {
	t.Helper()
	broken := promise(Run(t, script, mutant).Failure)
	fails := func(s Script) bool {
		t.Helper()
		return promise(Run(t, s, mutant).Failure) == broken
	}
	for before := -1; before != len(script.Lines); {
		before = len(script.Lines)
		for size := max(before/2, 1); size > 0; size /= 2 {
			for at := 0; at+size <= len(script.Lines); {
				shorter := script
				shorter.Lines = slices.Delete(slices.Clone(script.Lines), at, at+size)
				if fails(shorter) {
					script = shorter
				} else {
					at += size
				}
			}
		}
	}
	for i := range slices.Backward(script.Options) {
		plain := script
		if plain.Options = slices.Delete(slices.Clone(script.Options), i, i+1); fails(plain) {
			script = plain
		}
	}
	for _, simplify := range script.Kind.simplifications() {
		plain := script
		set, err := copyOf(script.Set)
		if err != nil {
			t.Fatal(err)
		}
		plain.Set = set
		simplify(plain.Set)
		if fails(plain) {
			script = plain
		}
	}
	return script
}

var particular = regexp.MustCompile(`[a-zA-Z]*-?[a-z]+-[a-z0-9]+|[0-9]+[a-z0-9.]*`)

// promise is what a failure is about, without the names and numbers of one run.
func promise(failure error) string {
	if failure == nil {
		return ""
	}
	line, _, _ := strings.Cut(failure.Error(), "\n")
	return particular.ReplaceAllString(line, "…")
}
