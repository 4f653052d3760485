package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/replica"
)

// BudgetExplanation is how a PodUnavailableBudget stands. Its JSON form is stable: fields may be added.
type BudgetExplanation struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Summary is one sentence: what there is, and what may go.
	Summary string `json:"summary"`
	// For says which pods it is for, and how many of them it keeps.
	For string `json:"for"`
	// Operations are those that it protects pods from, and Through those that feature gates let through all the same.
	Operations []string     `json:"operations,omitempty"`
	Through    []string     `json:"through,omitempty"`
	Counts     BudgetCounts `json:"counts"`
	// Pods are those that are not available, and Missing counts those that do not exist.
	Pods    []Away `json:"pods,omitempty"`
	Missing int    `json:"missing,omitempty"`
	// Permissions are those that are out.
	Permissions []Permission `json:"permissions,omitempty"`
	// Exempt are the pods that are neither counted nor protected.
	Exempt []string `json:"exempt,omitempty"`
	// Controller says how the status differs from what is seen. Empty: it does not.
	Controller []string `json:"controller,omitempty"`
	// Remedy is what to do about it, where that is clear.
	Remedy string `json:"remedy,omitempty"`
}

// BudgetCounts are the counts of the status.
type BudgetCounts struct {
	Total     int `json:"total"`
	Available int `json:"available"`
	Desired   int `json:"desired"`
	Allowed   int `json:"allowed"`
}

// Away is a pod that is not available.
type Away struct {
	Name    string `json:"name"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Since is when it began, where that is known.
	Since  *time.Time `json:"since,omitempty"`
	remedy string
}

// Permission is one that was given, and not seen to be used yet.
type Permission struct {
	Pod string `json:"pod"`
	// To is what the pod may be: deleted, or changed.
	To    string    `json:"to"`
	Given time.Time `json:"given"`
	Until time.Time `json:"until"`
	// There says whether the pod is there.
	There bool `json:"there"`
}

// ExplainBudget explains a budget whose namespace has these pods, with the gates that the manager runs with.
func ExplainBudget(b *v1beta1.PodUnavailableBudget, pods []*corev1.Pod, gates disruption.Options, now time.Time) *BudgetExplanation {
	s := &b.Status
	e := &BudgetExplanation{
		Kind: "PodUnavailableBudget", Namespace: b.Namespace, Name: b.Name, For: forWhom(b),
		Counts: BudgetCounts{
			Total: int(s.TotalReplicas), Available: int(s.CurrentAvailable), Desired: int(s.DesiredAvailable), Allowed: int(s.UnavailableAllowed),
		},
	}
	for _, o := range disruption.Operations(b) {
		if gates.Asks(o) {
			e.Operations = append(e.Operations, string(o))
		} else {
			e.Through = append(e.Through, string(o))
		}
	}
	there := map[string]bool{}
	var counted []*corev1.Pod
	for _, pod := range pods {
		if disruption.Counts(b, pod) {
			there[pod.Name] = disruption.Active(pod)
			counted = append(counted, pod)
		}
	}
	for _, p := range disruption.Permissions(b) {
		to := "changed"
		if p.Deletes {
			to = "deleted or evicted"
		}
		e.Permissions = append(e.Permissions, Permission{Pod: p.Pod, To: to, Given: p.Given, Until: p.Until, There: there[p.Pod]})
	}
	available := e.pods(b, counted, now)
	e.Summary = e.summary(b)
	e.controller(b, available)
	e.Remedy = e.remedy(b)
	return e
}

// pods tells of each pod that is not available, and counts those that are.
func (e *BudgetExplanation) pods(b *v1beta1.PodUnavailableBudget, pods []*corev1.Pod, now time.Time) (available int) {
	permitted := map[string]bool{}
	for _, p := range e.Permissions {
		permitted[p.Pod] = true
	}
	active := 0
	for _, pod := range pods {
		why := disruption.Unavailable(pod)
		switch {
		case disruption.Exempt(b, pod):
			e.Exempt = append(e.Exempt, pod.Name)
			continue
		case why == "" && !permitted[pod.Name]:
			available++
		case why != "":
			e.Pods = append(e.Pods, ill(pod, why, now))
		}
		if disruption.Active(pod) {
			active++
		}
	}
	slices.SortFunc(e.Pods, func(a, b Away) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(e.Exempt)
	e.Missing = max(e.Counts.Total-active, 0)
	return available
}

// ill tells why a pod is not available.
func ill(pod *corev1.Pod, why string, now time.Time) Away {
	p := patient{pod: pod, facts: replica.Of(pod, replica.Options{Now: now}), now: now}
	t, marked := p.marked()
	switch {
	case why == disruption.NotActive || why == disruption.NotReady:
		t = p.trouble()
	case !marked:
		t = trouble{reason: "Inconsistent", text: why}
	}
	a := Away{Name: pod.Name, Reason: t.reason, Message: t.text, remedy: t.remedy}
	if !t.since.IsZero() {
		a.Since = &t.since
	}
	return a
}

// forWhom says which pods a budget is for, and how many of them it keeps.
func forWhom(b *v1beta1.PodUnavailableBudget) string {
	pods := "the pods that " + metav1.FormatLabelSelector(b.Spec.Selector) + " selects"
	if target, named := disruption.Target(b); named {
		pods = fmt.Sprintf("the pods of %s %s", target.Kind, target.Name)
	}
	switch {
	case b.Spec.MinAvailable != nil:
		return fmt.Sprintf("%s; at least %s must stay available (minAvailable)", pods, b.Spec.MinAvailable)
	case b.Spec.MaxUnavailable != nil:
		return fmt.Sprintf("%s; at most %s may be unavailable (maxUnavailable)", pods, b.Spec.MaxUnavailable)
	default:
		return pods
	}
}

func (e *BudgetExplanation) summary(b *v1beta1.PodUnavailableBudget) string {
	c := e.Counts
	switch {
	case b.Status.ObservedGeneration < b.Generation:
		return "its pods are not counted since it was created or changed, and none of them may go until they are"
	case c.Total == 0 && c.Available == 0:
		return "there are no pods that it is for, and none should be"
	}
	text := fmt.Sprintf("%d %s be there, %d %s available, and %d must stay", c.Total, plural(c.Total, "pod should", "pods should"),
		c.Available, plural(c.Available, "is", "are"), c.Desired)
	switch {
	case c.Desired == 0:
		return text + ": all of them may go"
	case c.Allowed == 0:
		return text + ": no more may become unavailable now"
	default:
		return fmt.Sprintf("%s: %d more may become unavailable now", text, c.Allowed)
	}
}

// controller compares what the controller reported with what is seen.
func (e *BudgetExplanation) controller(b *v1beta1.PodUnavailableBudget, available int) {
	const silent = "if it stays so, kruise-manager does not run or cannot get on"
	switch {
	case b.Status.ObservedGeneration < b.Generation:
		e.Controller = []string{fmt.Sprintf("kruise-manager has not acted on the latest change yet: it has observed generation %d of %d; %s",
			b.Status.ObservedGeneration, b.Generation, silent)}
	case available != e.Counts.Available:
		e.Controller = []string{fmt.Sprintf("the status counts %d available where there are %d. It may lag by a second; %s", e.Counts.Available, available, silent)}
	}
	if c := e.Counts; b.Status.ObservedGeneration >= b.Generation && c.Allowed < c.Available-c.Desired {
		e.Controller = append(e.Controller, "it is not known how many pods there should be, so that none may go: the event CalculateExpectedPodCountFailed says why")
	}
}

// remedy is what a person can do first so that more pods may go.
func (e *BudgetExplanation) remedy(b *v1beta1.PodUnavailableBudget) string {
	if e.Counts.Allowed > 0 || e.Counts.Desired == 0 {
		return ""
	}
	for _, p := range e.Pods {
		if p.remedy != "" {
			return p.remedy
		}
	}
	switch c := e.Counts; {
	case len(e.Controller) > 0:
		return fmt.Sprintf("look at its events, kubectl describe pub -n %s %s, and whether kruise-manager runs", e.Namespace, e.Name)
	case c.Desired >= c.Total:
		field := "maxUnavailable"
		if b.Spec.MinAvailable != nil {
			field = "minAvailable"
		}
		return fmt.Sprintf("as many must stay as there should be, so that none may ever go: change spec.%s, or have more pods", field)
	case len(e.Pods)+len(e.Permissions) > 0:
		return "wait until those pods are back"
	case e.Missing > 0:
		return "look why the workload has fewer pods than it wants"
	}
	return ""
}

// Text is the explanation for people.
func (e *BudgetExplanation) Text(now time.Time) string {
	var t strings.Builder
	fmt.Fprintf(&t, "%s %s: %s.\n", e.Kind, Title(e.Namespace, e.Name), e.Summary)
	fmt.Fprintf(&t, "It is for %s.\n", e.For)
	t.WriteString(e.protects())
	away := texts(e.Pods, func(p Away) string {
		line := p.Name + ": " + p.Message
		if p.Since != nil {
			line += ", for " + ago(*p.Since, now)
		}
		return line
	})
	if more := len(away) - podsTold; more > 0 {
		away = append(away[:podsTold], fmt.Sprintf("and %d more; -o yaml lists them all", more))
	}
	if e.Missing > 0 {
		away = append(away, fmt.Sprintf("%s missing", plural(e.Missing, "1 pod is", fmt.Sprintf("%d pods are", e.Missing))))
	}
	section(&t, "Pods that are not available", away)
	section(&t, "Permissions that are out", texts(e.Permissions, func(p Permission) string { return p.text(now) }))
	section(&t, "Pods that are exempt", e.Exempt)
	section(&t, "Controller", e.Controller)
	if e.Remedy != "" {
		fmt.Fprintf(&t, "\nWhat to do: %s.\n", e.Remedy)
	}
	return t.String()
}

// protects says what the budget protects pods from.
func (e *BudgetExplanation) protects() string {
	through := ""
	if len(e.Through) > 0 {
		through = fmt.Sprintf("%s is let through, whose feature gate is off, as far as --feature-gates says", strings.Join(e.Through, ", "))
	}
	switch {
	case len(e.Operations) == 0:
		return "It protects them from nothing: " + through + ".\n"
	case through != "":
		through = "; " + through
	}
	return fmt.Sprintf("It protects them from %s%s.\n", strings.Join(e.Operations, ", "), through)
}

// text says for whom a permission is, and what becomes of it.
func (p Permission) text(now time.Time) string {
	given := fmt.Sprintf("%s may be %s, as of %s ago", p.Pod, p.To, ago(p.Given, now))
	switch {
	case !p.There:
		return given + ", and is gone or on its way out"
	case now.Before(p.Until):
		return fmt.Sprintf("%s, and counts as away until it is, or for %s more", given, rounded(p.Until.Sub(now)))
	default:
		return given + "; nothing came of it, and the permission is about to be given back"
	}
}
