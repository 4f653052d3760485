package sidecar

import (
	"encoding/json"
	"fmt"
	"regexp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kruise.io/kruise/api/apps/v1beta1"
)

// WhiteList says which annotations sets may write on pods.
type WhiteList struct{ rules []whiteRule }

type whiteRule struct {
	sets labels.Selector
	keys []*regexp.Regexp
}

// ParseWhiteList reads the list of a cluster's configuration, which is JSON:
// {"rules":[{"selector":{...},"allowedAnnotationKeyExprs":["..."]}]}. A rule without a selector is for every set. An
// expression need not match the whole key, unless it has anchors (^ and $). Empty text is a list that allows nothing.
func ParseWhiteList(text string) (*WhiteList, error) {
	w := &WhiteList{}
	if text == "" {
		return w, nil
	}
	var list struct {
		Rules []struct {
			Selector *metav1.LabelSelector `json:"selector"`
			Keys     []string              `json:"allowedAnnotationKeyExprs"`
		} `json:"rules"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, err
	}
	for i, r := range list.Rules {
		rule := whiteRule{sets: labels.Everything()}
		if r.Selector != nil {
			var err error
			if rule.sets, err = metav1.LabelSelectorAsSelector(r.Selector); err != nil {
				return nil, fmt.Errorf("rules[%d].selector: %w", i, err)
			}
		}
		for j, expression := range r.Keys {
			key, err := regexp.Compile(expression)
			if err != nil {
				return nil, fmt.Errorf("rules[%d].allowedAnnotationKeyExprs[%d]: %w", i, j, err)
			}
			rule.keys = append(rule.keys, key)
		}
		w.rules = append(w.rules, rule)
	}
	return w, nil
}

// Allows says whether a set may write an annotation.
func (w *WhiteList) Allows(set *v1beta1.SidecarSet, key string) bool {
	for _, rule := range w.rules {
		if !rule.sets.Matches(labels.Set(set.Labels)) {
			continue
		}
		for _, expression := range rule.keys {
			if expression.MatchString(key) {
				return true
			}
		}
	}
	return false
}
