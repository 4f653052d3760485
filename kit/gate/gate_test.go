package gate

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/component-base/featuregate"
)

func newSet(t *testing.T) *Set {
	t.Helper()
	s, err := New([]Gate{
		{Name: "Base", Spec: featuregate.FeatureSpec{Default: true, PreRelease: featuregate.Beta}},
		{Name: "OnTop", Spec: featuregate.FeatureSpec{Default: true, PreRelease: featuregate.Beta}, Needs: []string{"Base"}},
		{Name: "Young", Spec: featuregate.FeatureSpec{PreRelease: featuregate.Alpha}},
		{Name: "Elsewhere", Spec: featuregate.FeatureSpec{PreRelease: featuregate.Alpha}, Inert: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGates(t *testing.T) {
	cases := map[string]struct {
		flag     string
		on       []string
		warnings []string
	}{
		"nothing is asked: the defaults hold":              {flag: "", on: []string{"Base", "OnTop"}},
		"a gate is switched on":                            {flag: "Young=true", on: []string{"Base", "OnTop", "Young"}},
		"a gate that another needs is switched off":        {flag: "Base=false", on: nil},
		"AllAlpha switches on every alpha gate":            {flag: "AllAlpha=true", on: []string{"Base", "OnTop", "Young", "Elsewhere"}},
		"an inert gate at its default is not worth a word": {flag: "Elsewhere=false", on: []string{"Base", "OnTop"}},
		"an inert gate is accepted with a warning": {flag: "Elsewhere=true, Young=true", on: []string{"Base", "OnTop", "Young", "Elsewhere"},
			warnings: []string{"feature gate Elsewhere=true is accepted but switches nothing in this version"}},
		"a gate is asked for without the one it needs": {flag: "Base=false,OnTop=true", on: nil,
			warnings: []string{"feature gate OnTop=true is ignored: it needs Base"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSet(t)
			flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
			s.AddFlag(flags)
			if err := flags.Parse([]string{"--feature-gates=" + tc.flag}); err != nil {
				t.Fatal(err)
			}
			for _, gate := range []string{"Base", "OnTop", "Young", "Elsewhere"} {
				if got, want := s.Enabled(gate), slices.Contains(tc.on, gate); got != want {
					t.Errorf("%s is %t, want %t", gate, got, want)
				}
			}
			if got := s.Warnings(); !slices.Equal(got, tc.warnings) {
				t.Errorf("warnings %q, want %q", got, tc.warnings)
			}
		})
	}
}

func TestAnUnknownGateIsRefusedByName(t *testing.T) {
	err := newSet(t).Set("Yuong=true")
	if err == nil || !strings.Contains(err.Error(), "Yuong") {
		t.Fatalf("got %v, want an error that names Yuong", err)
	}
}

func TestAGateThatWasNeverListedIsOff(t *testing.T) {
	if newSet(t).Enabled("Nowhere") {
		t.Fatal("Nowhere is on")
	}
}

func TestAGateListedTwiceIsAnError(t *testing.T) {
	if _, err := New([]Gate{{Name: "A"}, {Name: "A"}}); err == nil {
		t.Fatal("no error")
	}
}

func TestAProgramThatKnowsAPartOfTheGatesLetsTheOthersThrough(t *testing.T) {
	s, err := NewPart([]Gate{{Name: "Mine", Spec: featuregate.FeatureSpec{PreRelease: featuregate.Alpha}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set("Theirs=true, Mine=true,Others=maybe"); err != nil || !s.Enabled("Mine") || s.Enabled("Theirs") {
		t.Errorf("%v, %s", err, s)
	}
	if err := s.Set("Theirs=true"); err != nil {
		t.Error(err)
	}
	if err := s.Set("Mine=maybe"); err == nil {
		t.Error("a value that is none is let through")
	}
}
