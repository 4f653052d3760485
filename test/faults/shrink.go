package faults

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Shrink makes a script that breaks a promise shorter, as long as the same promise is broken: it leaves out lines, and
// then parts of the CloneSet.
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
	plain := script
	if plain.Options = nil; fails(plain) {
		script = plain
	}
	for _, simplify := range simpler {
		plain := script
		plain.Set = script.Set.DeepCopy()
		simplify(&plain.Set.Spec)
		if fails(plain) {
			script = plain
		}
	}
	return script
}

// simpler are parts of a CloneSet that may have nothing to do with a failure.
var simpler = []func(*v1beta1.CloneSetSpec){
	func(s *v1beta1.CloneSetSpec) { s.Lifecycle = nil },
	func(s *v1beta1.CloneSetSpec) { s.Template.Labels = s.Selector.MatchLabels },
	func(s *v1beta1.CloneSetSpec) { s.VolumeClaimTemplates = nil },
	func(s *v1beta1.CloneSetSpec) { s.ScaleStrategy = v1beta1.CloneSetScaleStrategy{} },
	func(s *v1beta1.CloneSetSpec) { s.ScaleStrategy.EnablePVCReuse = false },
	func(s *v1beta1.CloneSetSpec) { s.UpdateStrategy = v1beta1.CloneSetUpdateStrategy{} },
	func(s *v1beta1.CloneSetSpec) { s.ProgressDeadlineSeconds = nil },
	func(s *v1beta1.CloneSetSpec) { s.RevisionHistoryLimit = nil },
	func(s *v1beta1.CloneSetSpec) { s.MinReadySeconds = 0 },
	func(s *v1beta1.CloneSetSpec) { s.Template.Spec.Containers = s.Template.Spec.Containers[:1] },
	func(s *v1beta1.CloneSetSpec) { one := int32(1); s.Replicas = &one },
	func(s *v1beta1.CloneSetSpec) { two := int32(2); s.Replicas = &two },
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
