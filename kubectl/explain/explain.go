// Package explain says in words how a CloneSet stands and what it waits for: the answer to "why is it stuck?".
//
// It promises to decide nothing of its own. What is to be done next, and what must wait for what, are the steps and the
// notes of the very plan that the controller would make now; the rest is read off the objects. The same objects and the
// same time give the same words.
package explain

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
	"kruise.io/kruise/plan/workload"
)

// Explanation is how a CloneSet stands. Its JSON form is stable: fields may be added.
type Explanation struct {
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
	// Next are the steps that the controller takes next.
	Next []Step `json:"next,omitempty"`
	// Pods are those that are not available.
	Pods []Pod `json:"pods,omitempty"`
	// Conditions are those of the status that tell of a failure.
	Conditions []Condition `json:"conditions,omitempty"`
	// Controller says how the status differs from what is seen. Empty: it does not.
	Controller []string `json:"controller,omitempty"`
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
	Since  *time.Time `json:"since,omitempty"`
	remedy string
}

// Condition is a condition of the CloneSet.
type Condition struct {
	Type    string    `json:"type"`
	Status  string    `json:"status"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
}

// Explain explains a CloneSet with what belongs to it. The error names the field that cannot be read.
func Explain(set *workload.CloneSet, now time.Time) (*Explanation, error) {
	newID := ids()
	pool, err := set.Pool(newID)
	if err != nil {
		return nil, err
	}
	plan, err := set.Plan(now, newID)
	if err != nil {
		return nil, err
	}
	e := &Explanation{
		Namespace: set.Set.Namespace, Name: set.Set.Name, Revision: set.Update,
		Counts: Counts{
			Wanted: pool.Replicas, Existing: plan.Tally.Replicas, Updated: plan.Tally.Updated,
			ExpectedUpdated: plan.Tally.ExpectedUpdated, Ready: plan.Tally.Ready, Available: plan.Tally.Available,
		},
		Budget: Budget{MaxUnavailable: pool.MaxUnavailable, MaxSurge: pool.MaxSurge, Partition: pool.Partition},
	}
	facts := set.Replicas(now)
	e.Others = Revisions(set, pool, facts)
	e.pods(set, pool, facts, now)
	for _, n := range plan.Notes {
		if !n.Told {
			e.Waiting = append(e.Waiting, Wait{Wish: string(n.Wish), Pods: n.Pods, Because: n.Because, Text: n.String()})
		}
	}
	for _, g := range podset.Grouped(plan.Steps) {
		e.Next = append(e.Next, Step{Do: string(g.Do), Pods: g.Names, Why: g.Why, Text: g.String()})
	}
	e.status(set.Set, plan)
	e.AtRest = len(e.Next)+len(e.Pods)+len(e.Controller)+len(e.Conditions) == 0 && len(e.Waiting) == 0 &&
		e.Counts.Existing == e.Counts.Wanted
	e.Summary = e.summary(pool)
	e.Remedy = e.remedy(pool, set.Set)
	return e, nil
}

// CloneSet explains a CloneSet with what it owns.
func CloneSet(set *v1beta1.CloneSet, owned workload.Owned, options workload.Options, now time.Time) (*Explanation, error) {
	view, err := workload.NewCloneSet(set, owned, options)
	if err != nil {
		return nil, err
	}
	return Explain(view, now)
}

// ids makes up instance ids for pods that are to be created; nobody gets to see them.
func ids() func() string {
	n := 0
	return func() string { n++; return fmt.Sprintf("new-%d", n) }
}

// pods tells of each pod that is not available, and who spends the budget.
func (e *Explanation) pods(set *workload.CloneSet, pool *podset.Pool, facts []replica.Replica, now time.Time) {
	for i := range facts {
		r := &facts[i]
		if r.Active() && !r.Available {
			e.Budget.Unavailable = append(e.Budget.Unavailable, r.Name)
		}
		if r.Active() && r.Available {
			continue
		}
		t := patient{pod: set.Pods[i], facts: *r, set: set.Set, now: now}.trouble()
		p := Pod{Name: r.Name, Updated: pool.IsNew(r.Revision), Reason: t.reason, Message: t.text, remedy: t.remedy}
		if !t.since.IsZero() {
			p.Since = &t.since
		}
		e.Pods = append(e.Pods, p)
	}
	e.Budget.Missing = max(e.Counts.Wanted-e.Counts.Existing, 0)
}

// status compares what the controller reported with what is seen.
func (e *Explanation) status(set *v1beta1.CloneSet, plan podset.Plan) {
	s := &set.Status
	lags := s.ObservedGeneration < set.Generation
	if lags {
		e.Controller = append(e.Controller, fmt.Sprintf("kruise-manager has not acted on the latest change yet: it has observed generation %d of %d. "+
			"If it stays so for more than a few seconds, kruise-manager does not run or cannot get on",
			s.ObservedGeneration, set.Generation))
	}
	var differs []string
	for _, c := range []struct {
		what       string
		said, seen int
	}{
		{"existing", int(s.Replicas), plan.Tally.Replicas},
		{"ready", int(s.ReadyReplicas), plan.Tally.Ready},
		{"available", int(s.AvailableReplicas), plan.Tally.Available},
		{"updated", int(s.UpdatedReplicas), plan.Tally.Updated},
	} {
		if c.said != c.seen {
			differs = append(differs, fmt.Sprintf("%d %s where there are %d", c.said, c.what, c.seen))
		}
	}
	if len(differs) > 0 && !lags {
		e.Controller = append(e.Controller, fmt.Sprintf("the status counts otherwise than is seen here: %s. It may lag by a second; "+
			"if it stays so, kruise-manager does not run or cannot get on", strings.Join(differs, ", ")))
	}
	for i := range s.Conditions {
		c := &s.Conditions[i]
		failed := c.Status == corev1.ConditionTrue &&
			(c.Type == v1beta1.CloneSetConditionFailedScale || c.Type == v1beta1.CloneSetConditionFailedUpdate)
		late := c.Status == corev1.ConditionFalse && c.Type == v1beta1.CloneSetConditionTypeProgressing
		if failed || late {
			e.Conditions = append(e.Conditions, Condition{
				Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time,
			})
		}
	}
}

// summary is one sentence: what there is, or that all is well.
func (e *Explanation) summary(pool *podset.Pool) string {
	hash := revision.ShortHash(e.Revision)
	c := e.Counts
	switch {
	case e.AtRest && c.Wanted == 0:
		return "it is at rest: no pods are wanted, and none exist"
	case e.AtRest && c.Updated == c.Wanted:
		return fmt.Sprintf("it is at rest: %s and %s of the newest revision, %s",
			allAvailable(c.Wanted), plural(c.Wanted, "is", "are"), hash)
	case e.AtRest:
		return fmt.Sprintf("it is at rest: %s, and %d of them of the newest revision, %s; partition %d keeps the others as they are",
			allAvailable(c.Wanted), c.Updated, hash, pool.Partition)
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
func (e *Explanation) remedy(pool *podset.Pool, set *v1beta1.CloneSet) string {
	const manager = "look whether kruise-manager runs and leads: kubectl get pods,leases -n kruise-system (or wherever it is installed)"
	if set.Status.ObservedGeneration < set.Generation {
		return manager
	}
	for _, c := range e.Conditions {
		if c.Type != string(v1beta1.CloneSetConditionTypeProgressing) {
			return fmt.Sprintf("remove what the condition %s names; the controller tries again by itself", c.Type)
		}
	}
	if blocked := e.inPlaceOnly(pool); blocked != "" {
		return "change only what can be changed in place, or set podUpdatePolicy to InPlaceIfPossible"
	}
	for _, updated := range []bool{true, false} { // a bad new revision is what stops a rollout
		for _, p := range e.Pods {
			if p.Updated == updated && p.remedy != "" {
				return p.remedy
			}
		}
	}
	for _, w := range e.Waiting {
		switch {
		case w.Wish != string(podset.WishUpdate):
		case pool.Paused:
			return "to go on, set spec.updateStrategy.rollingUpdate.paused to false"
		case pool.OnDelete:
			return "delete the old pods, or list them in spec.scaleStrategy.podsToDelete, to have them replaced"
		}
	}
	if len(e.Controller) > 0 {
		return "ask again; if the answer stays the same, " + manager
	}
	if e.AtRest && e.Counts.Updated < e.Counts.Wanted {
		return "to update more pods, lower spec.updateStrategy.rollingUpdate.partition"
	}
	return ""
}

// inPlaceOnly is what cannot be changed in place and may not be changed otherwise.
func (e *Explanation) inPlaceOnly(pool *podset.Pool) string {
	if pool.Policy != v1beta1.InPlaceOnlyPodUpdatePolicyType || pool.Paused || pool.OnDelete {
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
