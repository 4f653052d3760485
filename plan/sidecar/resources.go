package sidecar

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/kruise/api/apps/v1beta1"
)

// formula is one expression of a resourcesPolicy: what it computes, from what.
type formula struct {
	text     string
	limit    bool
	resource corev1.ResourceName
}

func formulas(p *v1beta1.ResourcesPolicy) []formula {
	var out []formula
	if l := p.ResourcesExpr.Limits; l != nil {
		out = append(out, formula{l.CPU, true, corev1.ResourceCPU}, formula{l.Memory, true, corev1.ResourceMemory})
	}
	if r := p.ResourcesExpr.Requests; r != nil {
		out = append(out, formula{r.CPU, false, corev1.ResourceCPU}, formula{r.Memory, false, corev1.ResourceMemory})
	}
	return out
}

func (f formula) path(at *field.Path) *field.Path {
	list := "requests"
	if f.limit {
		list = "limits"
	}
	return at.Child("resourcesExpr", list, string(f.resource))
}

// CheckResources says what is wrong with a resourcesPolicy.
func CheckResources(p *v1beta1.ResourcesPolicy, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if _, err := targets(p); err != nil {
		errs = append(errs, field.Invalid(at.Child("targetContainersNameRegex"), p.TargetContainersNameRegex, err.Error()))
	}
	for _, f := range formulas(p) {
		if f.text == "" {
			continue
		}
		if _, err := parse(f.text, string(f.resource)); err != nil {
			errs = append(errs, field.Invalid(f.path(at), f.text, err.Error()))
		}
	}
	return errs
}

// targets is the expression that the whole name of a target matches.
func targets(p *v1beta1.ResourcesPolicy) (*regexp.Regexp, error) {
	text := p.TargetContainersNameRegex
	if text == "" {
		text = ".*"
	}
	return regexp.Compile("^(?:" + text + ")$")
}

// resources computes the resources of a sidecar from the containers of a pod.
func resources(p *v1beta1.ResourcesPolicy, containers []*corev1.Container) (corev1.ResourceRequirements, error) {
	var out corev1.ResourceRequirements
	name, err := targets(p)
	if err != nil {
		return out, fmt.Errorf("resourcesPolicy.targetContainersNameRegex: %w", err)
	}
	var chosen, all []*corev1.Container
	for _, c := range containers {
		all = append(all, c)
		if name.MatchString(c.Name) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return out, fmt.Errorf("resourcesPolicy: none of the pod's containers (%s) matches targetContainersNameRegex %s", namesOf(all), name)
	}
	for _, f := range formulas(p) {
		quantity, err := f.compute(p.TargetContainersMode, chosen)
		if err != nil {
			return out, fmt.Errorf("%s: %w", f.path(field.NewPath("resourcesPolicy")), err)
		}
		if quantity == nil {
			continue
		}
		list := &out.Requests
		if f.limit {
			list = &out.Limits
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[f.resource] = *quantity
	}
	return out, nil
}

// compute returns what a sidecar gets; nil is nothing. A limit that depends on those of the targets is none where one of them
// has none.
func (f formula) compute(mode v1beta1.TargetContainersModeType, chosen []*corev1.Container) (*resource.Quantity, error) {
	if f.text == "" {
		return nil, nil
	}
	e, err := parse(f.text, string(f.resource))
	if err != nil {
		return nil, err
	}
	total := new(big.Rat)
	for _, c := range chosen {
		list := c.Resources.Requests
		if f.limit {
			list = c.Resources.Limits
		}
		quantity, ok := list[f.resource]
		if !ok && f.limit && e.usesVariable() {
			return nil, nil
		}
		value, _ := new(big.Rat).SetString(quantity.AsDec().String())
		switch {
		case mode != v1beta1.TargetContainersModeMax:
			total.Add(total, value)
		case value.Cmp(total) > 0:
			total = value
		}
	}
	value, err := e.evaluate(total)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", f.text, total.RatString(), err)
	}
	if value.Sign() < 0 {
		return nil, fmt.Errorf("%s is less than nothing: %s", f.text, value.FloatString(3))
	}
	return f.quantity(value)
}

// quantity is a value in the unit of the resource, rounded up: thousandths of a core, and bytes. Fractions of bytes are no
// valid memory.
func (f formula) quantity(value *big.Rat) (*resource.Quantity, error) {
	unit, like := int64(1), resource.BinarySI
	if f.resource == corev1.ResourceCPU {
		unit, like = 1000, resource.DecimalSI
	}
	scaled := new(big.Rat).Mul(value, big.NewRat(unit, 1))
	whole, rest := new(big.Int).QuoRem(scaled.Num(), scaled.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	if !whole.IsInt64() {
		return nil, fmt.Errorf("%s is too much: %s", f.text, value.FloatString(0))
	}
	if unit == 1 {
		return resource.NewQuantity(whole.Int64(), like), nil
	}
	return resource.NewMilliQuantity(whole.Int64(), like), nil
}

func namesOf(containers []*corev1.Container) string {
	var out []string
	for _, c := range containers {
		out = append(out, c.Name)
	}
	return strings.Join(out, ", ")
}
