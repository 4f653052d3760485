// Package protection decides whether an object that carries the label policy.kruise.io/delete-protection may be deleted.
//
// It promises: nothing is refused to an object that is of no kind of the list, or is being deleted already, or whose label
// says neither Always nor Cascading; Always is refused whatever the cluster looks like; Cascading is refused exactly while
// something would go with the object; and a refusal names the object, the label, what would go with it and how many there
// are, and what to do.
package protection

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/kruise/api/policy/v1alpha1"
)

// Object is what somebody is about to delete.
type Object struct {
	Rule
	// Namespace is empty for a kind that is in none.
	Namespace, Name string
	// Label is the value of the label.
	Label string
	// Going says that the object is being deleted already.
	Going bool
	// own is what the object itself says would go with it; nil where others must be counted for that.
	own []Children
}

// Of reads off an object, as decoded from JSON, what matters. ok is false when it is of no protected kind.
func Of(group, kind string, object *unstructured.Unstructured) (o Object, ok bool) {
	rule, ok := For(group, kind)
	if !ok {
		return Object{}, false
	}
	o = Object{
		Rule: rule, Namespace: object.GetNamespace(), Name: object.GetName(),
		Label: object.GetLabels()[v1alpha1.DeletionProtectionKey], Going: object.GetDeletionTimestamp() != nil,
	}
	if rule.counts != nil {
		o.own = []Children{rule.counts(object.Object)}
	}
	return o, true
}

// Asks says whether the decision needs to know what others would go with the object.
func (o Object) Asks() bool {
	return !o.Going && o.Label == v1alpha1.DeletionProtectionTypeCascading && o.Remedy != "" && o.counts == nil
}

// Children are objects of one sort that would go with another one.
type Children struct {
	// Count is how many there are.
	Count int64
	// More says that not all were looked at.
	More bool
	// Of is what one of them is called.
	Of string
}

// String tells the number in words.
func (c Children) String() string {
	text := fmt.Sprintf("%d %s", c.Count, c.Of)
	if c.Count != 1 {
		text += "s"
	}
	if c.More {
		text = "at least " + text
	}
	return text
}

// Verdict is the decision. The zero value lets the deletion pass.
type Verdict struct {
	// Refusal says why the object may not be deleted; empty when it may.
	Refusal string
	// Warning tells whoever deletes the object that its label protects nothing.
	Warning string
}

// Decide says what becomes of a deletion. counted is what would go with an object that Asks.
func Decide(o Object, counted ...Children) Verdict {
	const key = v1alpha1.DeletionProtectionKey
	switch {
	case o.Going:
		return Verdict{}
	case o.Label == v1alpha1.DeletionProtectionTypeAlways:
		return Verdict{Refusal: fmt.Sprintf("%s is protected by its label %s=%s: take the label off first (%s)", o, key, o.Label, o.unlabel())}
	case o.Label != v1alpha1.DeletionProtectionTypeCascading:
		return Verdict{Warning: fmt.Sprintf("the label %s=%s of %s protects nothing: its value is neither %s nor %s", key, o.Label, o,
			v1alpha1.DeletionProtectionTypeAlways, v1alpha1.DeletionProtectionTypeCascading)}
	case o.Remedy == "":
		return Verdict{Warning: fmt.Sprintf("the label %s=%s of %s protects nothing: nothing goes with a %s; %s protects it", key, o.Label, o, o.Kind,
			v1alpha1.DeletionProtectionTypeAlways)}
	}
	var left []string
	for _, c := range append(o.own, counted...) {
		if c.Count > 0 || c.More {
			left = append(left, c.String())
		}
	}
	if len(left) == 0 {
		return Verdict{}
	}
	return Verdict{Refusal: fmt.Sprintf("%s is protected by its label %s=%s while it has %s: %s, or take the label off (%s)",
		o, key, o.Label, strings.Join(left, " and "), o.Remedy, o.unlabel())}
}

// Unknown is the decision where it cannot be found out what would go with the object.
func Unknown(o Object, reason error) Verdict {
	return Verdict{Refusal: fmt.Sprintf("%s has the label %s=%s, and it is not known what would go with it: %s; take the label off (%s) to delete it all the same",
		o, v1alpha1.DeletionProtectionKey, o.Label, reason, o.unlabel())}
}

// String names the object in words.
func (o Object) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// unlabel is the command that takes the label off.
func (o Object) unlabel() string {
	command := "kubectl label " + o.name() + " " + o.Name
	if o.Namespace != "" {
		command += " -n " + o.Namespace
	}
	return command + " " + v1alpha1.DeletionProtectionKey + "-"
}
