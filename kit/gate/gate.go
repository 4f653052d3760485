// Package gate reads feature gates from the command line.
//
// It promises that a gate is read once, at the start, and handed on as a bool: nothing below the start knows that gates
// exist. Names, defaults and stages follow the rules of Kubernetes components (AllAlpha and AllBeta included). A gate that
// is known but has nothing to switch in this build is accepted with a warning, so that a string of gates which worked
// elsewhere keeps working; an unknown name is an error, since it is most likely a typing error.
package gate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/component-base/featuregate"
)

// Gate is one feature gate.
type Gate struct {
	// Name is what users write.
	Name string
	// Spec is its default and its stage (featuregate.Alpha, featuregate.Beta).
	Spec featuregate.FeatureSpec
	// Needs names gates without which this one is off, whatever was asked.
	Needs []string
	// Inert says that nothing in this build asks for the gate.
	Inert bool
}

// Set is a set of gates and what was asked of them. It is a pflag.Value.
type Set struct {
	gates []Gate
	known interface {
		featuregate.MutableFeatureGate
		featuregate.MutableFeatureGateWithLogger
	}
	asked []string
	// part says that others know gates that are not listed.
	part bool
}

var _ pflag.Value = &Set{}

// New makes a set in which every gate has its default. It fails if a gate stands in the list twice with two meanings.
func New(gates []Gate) (*Set, error) {
	s := &Set{gates: gates, known: featuregate.NewFeatureGate()}
	specs := map[featuregate.Feature]featuregate.FeatureSpec{}
	for _, g := range gates {
		if _, twice := specs[featuregate.Feature(g.Name)]; twice {
			return nil, fmt.Errorf("feature gate %s is listed twice", g.Name)
		}
		specs[featuregate.Feature(g.Name)] = g.Spec
	}
	if err := s.known.Add(specs); err != nil {
		return nil, fmt.Errorf("listing the feature gates: %w", err)
	}
	return s, nil
}

// NewPart is New for a program that is given the same string of gates as another one, which knows more of them: names that
// are not in the list are let through.
func NewPart(gates []Gate) (*Set, error) {
	s, err := New(gates)
	if err == nil {
		s.part = true
	}
	return s, err
}

// AddFlag adds the flag --feature-gates.
func (s *Set) AddFlag(flags *pflag.FlagSet) {
	usage := "Feature gates, as name=true|false pairs. Gates that switch something here:"
	for _, g := range s.gates {
		if !g.Inert {
			usage += fmt.Sprintf("\n%s (%s, default %t)", g.Name, g.Spec.PreRelease, g.Spec.Default)
		}
	}
	flags.Var(s, "feature-gates", usage)
}

// Enabled says whether a gate is on. A gate that needs one that is off is off; a gate that was never listed is off.
func (s *Set) Enabled(name string) bool {
	i := slices.IndexFunc(s.gates, func(g Gate) bool { return g.Name == name })
	if i < 0 || !s.known.Enabled(featuregate.Feature(name)) {
		return false
	}
	return !slices.ContainsFunc(s.gates[i].Needs, func(need string) bool { return !s.Enabled(need) })
}

// Warnings says which of the gates that were asked for do nothing, one sentence each.
func (s *Set) Warnings() []string {
	var warnings []string
	for _, g := range s.gates {
		if !slices.Contains(s.asked, g.Name) {
			continue
		}
		on := s.known.Enabled(featuregate.Feature(g.Name))
		switch {
		case g.Inert && on != g.Spec.Default:
			warnings = append(warnings, fmt.Sprintf("feature gate %s=%t is accepted but switches nothing in this version", g.Name, on))
		case on && !s.Enabled(g.Name):
			warnings = append(warnings, fmt.Sprintf("feature gate %s=true is ignored: it needs %s", g.Name, strings.Join(g.Needs, ", ")))
		}
	}
	return warnings
}

// Set implements pflag.Value.
func (s *Set) Set(value string) error {
	if s.part {
		value = s.own(value)
	}
	// Warnings are told at the start, once logging is set up; not here.
	if err := s.known.SetWithLogger(logr.Discard(), value); err != nil {
		return err
	}
	for pair := range strings.SplitSeq(value, ",") {
		name, _, _ := strings.Cut(pair, "=")
		s.asked = append(s.asked, strings.TrimSpace(name))
	}
	return nil
}

// own keeps the pairs whose names are known.
func (s *Set) own(value string) string {
	var kept []string
	for pair := range strings.SplitSeq(value, ",") {
		name, _, _ := strings.Cut(pair, "=")
		if _, known := s.known.GetAll()[featuregate.Feature(strings.TrimSpace(name))]; known {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, ",")
}

// String implements pflag.Value.
func (s *Set) String() string { return strings.Join(s.asked, ",") }

// Type implements pflag.Value.
func (s *Set) Type() string { return "name=true|false,..." }
