// Package explain says in words how a workload stands and what it waits for: the answer to "why is it stuck?".
//
// It promises to decide nothing of its own. What is to be done next, and what must wait for what, are the steps and the
// notes of the very plan that the controller would make now; the rest is read off the objects. The same objects and the
// same time give the same words.
package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kubectl/kinds"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
)

// Explanation is how a workload stands. Its JSON form is stable: fields may be added.
type Explanation struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Summary is one sentence.
	Summary string `json:"summary"`
	// AtRest is true when all is as wanted, as far as partition lets it be, and nothing is being done.
	AtRest bool   `json:"atRest"`
	Counts Counts `json:"counts"`
	// Revision is what is rolled out, Others what pods have besides.
	Revision string     `json:"revision"`
	Others   []Revision `json:"otherRevisions,omitempty"`
	Budget   Budget     `json:"budget"`
	// Waiting says what is wanted and not done, and why.
	Waiting []Wait `json:"waiting,omitempty"`
	// HeldBy are the PodUnavailableBudgets that refuse steps, as namespace/name.
	HeldBy []string `json:"heldBy,omitempty"`
	// Next are the steps that the controller takes next.
	Next []Step `json:"next,omitempty"`
	// Pods are those that are not available.
	Pods []Pod `json:"pods,omitempty"`
	// Conditions are those of the status that tell of a failure.
	Conditions []kinds.Condition `json:"conditions,omitempty"`
	// Controller says how the status differs from what is seen. Empty: it does not.
	Controller []string `json:"controller,omitempty"`
	// Assumptions are what could not be read and is taken to be so.
	Assumptions []string `json:"assumptions,omitempty"`
	// Remedy is what to do about it, where that is clear.
	Remedy string `json:"remedy,omitempty"`
}

// Counts are counts of pods.
type Counts struct {
	Wanted          int `json:"wanted"`
	Existing        int `json:"existing"`
	Updated         int `json:"updated"`
	ExpectedUpdated int `json:"expectedUpdated"`
	Ready           int `json:"ready"`
	Available       int `json:"available"`
	// KeptBySelector is true where pods stay on an old revision because of the selector of nodes, and not of the partition.
	KeptBySelector bool `json:"keptBySelector,omitempty"`
}

// Budget is how many pods may be away and who is.
type Budget struct {
	MaxUnavailable int `json:"maxUnavailable"`
	MaxSurge       int `json:"maxSurge"`
	Partition      int `json:"partition"`
	// Unavailable are the pods that spend it; Missing counts those that do not exist.
	Unavailable []string `json:"unavailable,omitempty"`
	Missing     int      `json:"missing,omitempty"`
}

// Wait is something wanted and not done.
type Wait struct {
	Wish    string `json:"wish"`
	Pods    int    `json:"pods"`
	Because string `json:"because"`
	// Text is all of it in a sentence.
	Text string `json:"text"`
}

// Step is what is done to some pods.
type Step struct {
	Do   string   `json:"do"`
	Pods []string `json:"pods"`
	Why  string   `json:"why"`
	// Text is all of it but the reason.
	Text string `json:"text"`
}

// Pod is a pod that is not available.
type Pod struct {
	Name    string `json:"name"`
	Updated bool   `json:"updated"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Since is when it began, where that is known.
	Since *time.Time `json:"since,omitempty"`
	// Ended says that the pod ended, as one that was evicted does. It counts for nothing, and may lie about for long.
	Ended  bool `json:"ended,omitempty"`
	remedy string
}

// Explain explains a workload as its controller sees it, under budgets as they are now.
func Explain(w kinds.Workload, v *kinds.View, budgets kinds.Protection, now time.Time) (*Explanation, error) {
	plan, err := v.Plan(now)
	if err != nil {
		return nil, err
	}
	holding, err := budgets.Hold(w, v, &plan, now)
	if err != nil {
		return nil, err
	}
	e := &Explanation{
		Kind: w.Kind().Name, Namespace: w.Object().GetNamespace(), Name: w.Object().GetName(), Revision: v.Update,
		Counts: Counts{
			Wanted: v.Rules.Replicas, Existing: plan.Tally.Replicas, Updated: plan.Tally.Updated,
			ExpectedUpdated: plan.Tally.ExpectedUpdated, Ready: plan.Tally.Ready, Available: plan.Tally.Available,
			KeptBySelector: plan.Tally.KeptBySelector(),
		},
		Budget:      Budget{MaxUnavailable: v.Rules.MaxUnavailable, MaxSurge: v.MaxSurge, Partition: v.Partition},
		Assumptions: v.Assumptions,
	}
	for _, b := range holding {
		e.HeldBy = append(e.HeldBy, b.String())
	}
	facts := v.Facts(now)
	e.Others = revisions(v, facts)
	e.pods(v, facts, now)
	for _, n := range plan.Notes {
		if !n.Told {
			e.Waiting = append(e.Waiting, Wait{Wish: string(n.Wish), Pods: n.Pods, Because: n.Because, Text: n.String()})
		}
	}
	if len(v.Strays) > 0 {
		e.Next = append(e.Next, LetGo(v.Strays))
	}
	for _, g := range podset.Grouped(plan.Steps) {
		e.Next = append(e.Next, Step{Do: string(g.Do), Pods: g.Names, Why: g.Why, Text: g.String()})
	}
	generation := w.Object().GetGeneration()
	e.status(v, plan, generation)
	away := slices.ContainsFunc(e.Pods, func(p Pod) bool { return !p.Ended })
	e.AtRest = !away && len(e.Next)+len(e.Controller)+len(e.Conditions) == 0 && len(e.Waiting) == 0 &&
		e.Counts.Existing == e.Counts.Wanted
	e.Summary = e.summary()
	e.Remedy = e.remedy(v, v.ObservedGeneration < generation)
	return e, nil
}

// LetGo is the step by which a controller lets pods go that its workload no longer selects.
func LetGo(strays []*corev1.Pod) Step {
	s := Step{Do: "LetGo", Why: "spec.selector does not select it any more"}
	for _, pod := range strays {
		s.Pods = append(s.Pods, pod.Name)
	}
	slices.Sort(s.Pods)
	if len(s.Pods) > 1 {
		s.Why = "spec.selector does not select them any more"
	}
	s.Text = "let " + podset.Names(s.Pods) + " go"
	return s
}

// pods tells of each pod that is not available, and who spends the budget.
func (e *Explanation) pods(v *kinds.View, facts []replica.Replica, now time.Time) {
	for i := range facts {
		r := &facts[i]
		if r.Active() && !r.Available {
			e.Budget.Unavailable = append(e.Budget.Unavailable, r.Name)
		}
		if r.Active() && r.Available {
			continue
		}
		t := patient{pod: v.Pods[i], facts: *r, hooks: v.Hooks, minReadySeconds: v.MinReadySeconds, now: now}.trouble()
		p := Pod{Name: r.Name, Updated: v.Rules.IsNew(r.Revision), Ended: r.Phase == replica.Ended && !r.Terminating, Reason: t.reason, Message: t.text, remedy: t.remedy}
		if !t.since.IsZero() {
			p.Since = &t.since
		}
		e.Pods = append(e.Pods, p)
	}
	e.Budget.Missing = max(e.Counts.Wanted-e.Counts.Existing, 0)
}

// status compares what the controller reported with what is seen.
func (e *Explanation) status(v *kinds.View, plan podset.Plan, generation int64) {
	lags := v.ObservedGeneration < generation
	if lags {
		e.Controller = append(e.Controller, fmt.Sprintf("kruise-manager has not acted on the latest change yet: it has observed generation %d of %d. "+
			"If it stays so for more than a few seconds, kruise-manager does not run or cannot get on",
			v.ObservedGeneration, generation))
	}
	var differs []string
	for _, c := range v.Counts(plan.Tally) {
		if c.Said != c.Seen {
			differs = append(differs, fmt.Sprintf("%d %s where there are %d", c.Said, c.What, c.Seen))
		}
	}
	if len(differs) > 0 && !lags {
		e.Controller = append(e.Controller, fmt.Sprintf("the status counts otherwise than is seen here: %s. It may lag by a second; "+
			"if it stays so, kruise-manager does not run or cannot get on", strings.Join(differs, ", ")))
	}
	for _, c := range v.Conditions {
		if c.Failed() || c.Late() {
			e.Conditions = append(e.Conditions, c)
		}
	}
}

// summary is one sentence: what there is, or that all is well.
func (e *Explanation) summary() string {
	hash := revision.ShortHash(e.Revision)
	c := e.Counts
	switch {
	case e.AtRest && c.Wanted == 0:
		return "it is at rest: no pods are wanted, and none exist"
	case e.AtRest && c.Updated == c.Wanted:
		return fmt.Sprintf("it is at rest: %s and %s of the newest revision, %s",
			allAvailable(c.Wanted), plural(c.Wanted, "is", "are"), hash)
	case e.AtRest:
		by := fmt.Sprintf("partition %d", e.Budget.Partition)
		if c.KeptBySelector {
			by = "the selector of nodes"
		}
		return fmt.Sprintf("it is at rest: %s, and %d of them of the newest revision, %s; %s keeps the others as they are",
			allAvailable(c.Wanted), c.Updated, hash, by)
	}
	return fmt.Sprintf("%d wanted, %d %s; %d updated, %d ready, %d available",
		c.Wanted, c.Existing, plural(c.Existing, "exists", "exist"), c.Updated, c.Ready, c.Available)
}

func allAvailable(n int) string {
	if n == 1 {
		return "its 1 pod is available"
	}
	return fmt.Sprintf("all %d pods are available", n)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// remedy is what a person can do first. What stands in the way of everything else comes first.
func (e *Explanation) remedy(v *kinds.View, lags bool) string {
	const manager = "look whether kruise-manager runs and leads: kubectl get pods,leases -n kruise-system (or wherever it is installed)"
	if lags {
		return manager
	}
	for _, c := range e.Conditions {
		if c.Failed() {
			return fmt.Sprintf("remove what the condition %s names; the controller tries again by itself", c.Type)
		}
	}
	if blocked := e.inPlaceOnly(v); blocked != "" {
		return cmp.Or(v.BlockedRemedy, "change only what can be changed in place, or set podUpdatePolicy to InPlaceIfPossible")
	}
	for _, updated := range []bool{true, false} { // a bad new revision is what stops a rollout
		for _, p := range e.Pods {
			if p.Updated == updated && p.remedy != "" {
				return p.remedy
			}
		}
	}
	if len(e.HeldBy) > 0 {
		namespace, name, _ := strings.Cut(e.HeldBy[0], "/")
		return fmt.Sprintf("see what spends the budget: kubectl kruise explain pub/%s -n %s", name, namespace)
	}
	for _, w := range e.Waiting {
		switch {
		case w.Wish != string(podset.WishUpdate):
		case v.Rules.Paused:
			return "to go on, set " + strategy(v) + ".paused to false"
		case v.Rules.OnDelete:
			return v.OnDeleteRemedy
		}
	}
	if len(e.Controller) > 0 {
		return "ask again; if the answer stays the same, " + manager
	}
	switch {
	case !e.AtRest || e.Counts.Updated >= e.Counts.Wanted:
		return ""
	case e.Counts.KeptBySelector:
		return "to update more pods, widen " + strategy(v) + ".selector, or take it away"
	default:
		return "to update more pods, lower " + strategy(v) + ".partition"
	}
}

// strategy is the field that holds paused and partition.
func strategy(v *kinds.View) string { return cmp.Or(v.Strategy, "spec.updateStrategy.rollingUpdate") }

// inPlaceOnly is what cannot be changed in place and may not be changed otherwise.
func (e *Explanation) inPlaceOnly(v *kinds.View) string {
	if v.Rules.Policy != v1beta1.InPlaceOnlyPodUpdatePolicyType || v.Rules.Paused || v.Rules.OnDelete {
		return ""
	}
	var blocked []string
	for _, r := range e.Others {
		if r.Blocked != "" {
			blocked = append(blocked, r.Blocked)
		}
	}
	return strings.Join(blocked, ", ")
}
