package explain

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"kruise.io/kruise/kubectl/kinds"
	"kruise.io/kruise/plan/podset"
)

// podsTold is how many pods are told of one by one.
const podsTold = 10

// Text is the explanation for people. A set at rest is one paragraph.
func (e *Explanation) Text(now time.Time) string {
	var t strings.Builder
	fmt.Fprintf(&t, "%s %s: %s.\n", e.Kind, Title(e.Namespace, e.Name), e.Summary)
	if e.AtRest {
		section(&t, "Pods that ended and count for nothing", e.Patients(now))
		if e.Remedy != "" {
			fmt.Fprintf(&t, "What to do: %s.\n", e.Remedy)
		}
		return t.String()
	}
	e.rollout(&t)
	e.budget(&t)
	for _, assumed := range e.Assumptions {
		fmt.Fprintf(&t, "Assumed: %s.\n", assumed)
	}
	section(&t, "Waiting", e.Wishes())
	section(&t, "Next steps", texts(e.Next, func(s Step) string { return s.Text + ": " + s.Why }))
	section(&t, "Pods that are not available", e.Patients(now))
	section(&t, "Failures that the controller reports", texts(e.Conditions, func(c kinds.Condition) string {
		return fmt.Sprintf("%s is %s%s for %s%s", c.Type, c.Status, inBrackets(c.Reason), ago(c.Since, now), because("", c.Message))
	}))
	section(&t, "Controller", e.controller())
	if e.Remedy != "" {
		fmt.Fprintf(&t, "\nWhat to do: %s.\n", e.Remedy)
	}
	return t.String()
}

// Title is the name of a workload with its namespace, if it is in one.
func Title(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

func (e *Explanation) rollout(t *strings.Builder) {
	if len(e.Others) == 0 {
		fmt.Fprintf(t, "All its pods have the newest revision, %s.\n", short(e.Revision))
		return
	}
	fmt.Fprintf(t, "It rolls out revision %s: %d of %d pods are to have it, and %d %s.\n",
		short(e.Revision), e.Counts.ExpectedUpdated, e.Counts.Wanted, e.Counts.Updated, plural(e.Counts.Updated, "has", "have"))
	for _, r := range e.Others {
		r.Tell(t)
	}
}

// Tell writes which pods have the revision, how they get to the newest one, and what that changes.
func (r *Revision) Tell(t *strings.Builder) {
	fmt.Fprintf(t, "%s %s revision %s and %s updated %s.\n",
		counted(r.Pods), plural(r.Pods, "has", "have"), short(r.Name), plural(r.Pods, "is", "are"), r.Method)
	for _, d := range r.Differences {
		fmt.Fprintf(t, "  %s\n", d)
	}
}

func (e *Explanation) budget(t *strings.Builder) {
	b := e.Budget
	fmt.Fprintf(t, "Budget: at most %d unavailable (maxUnavailable)", b.MaxUnavailable)
	if b.MaxSurge > 0 {
		fmt.Fprintf(t, ", at most %d more than wanted (maxSurge)", b.MaxSurge)
	}
	if b.Partition > 0 {
		fmt.Fprintf(t, ", %d kept on the old revision (partition)", b.Partition)
	}
	switch n := len(b.Unavailable); {
	case n == 0 && b.Missing == 0:
		t.WriteString("; nobody spends it.\n")
	case n == 0:
		fmt.Fprintf(t, "; %d missing.\n", b.Missing)
	default:
		fmt.Fprintf(t, "; %d unavailable: %s", n, podset.Names(b.Unavailable))
		if b.Missing > 0 {
			fmt.Fprintf(t, "; %d missing", b.Missing)
		}
		t.WriteString(".\n")
	}
}

// Patients tells of the pods that are not available, those first that the rollout waits for.
func (e *Explanation) Patients(now time.Time) []string {
	var lines []string
	for _, updated := range []bool{true, false} {
		for _, p := range e.Pods {
			if p.Updated != updated {
				continue
			}
			line := fmt.Sprintf("%s (%s revision): %s", p.Name, map[bool]string{true: "new", false: "old"}[updated], p.Message)
			if p.Since != nil {
				line += ", for " + ago(*p.Since, now)
			}
			lines = append(lines, line)
		}
	}
	if more := len(lines) - podsTold; more > 0 {
		lines = append(lines[:podsTold], fmt.Sprintf("and %d more; -o yaml lists them all", more))
	}
	return lines
}

// controller warns of steps that are not being taken, too: a plan that is made here and not carried out there.
func (e *Explanation) controller() []string {
	if len(e.Next) == 0 || len(e.Controller) > 0 || len(e.Conditions) > 0 {
		return e.Controller
	}
	return []string{"the next steps are taken within a second or two; if they are still next when you ask again, kruise-manager does not run"}
}

// Wishes tells what is wanted and not done, but for pods that are not available: those are told of one by one.
func (e *Explanation) Wishes() []string {
	var lines []string
	for _, w := range e.Waiting {
		if w.Wish != string(podset.WishAvailable) {
			lines = append(lines, w.Text)
		}
	}
	return lines
}

func section(t *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(t, "\n%s:\n", title)
	for _, line := range lines {
		fmt.Fprintf(t, "  %s\n", line)
	}
}

func texts[T any](items []T, text func(T) string) []string {
	var out []string
	for _, item := range items {
		out = append(out, text(item))
	}
	return out
}

func inBrackets(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func counted(n int) string { return fmt.Sprintf("%d %s", n, plural(n, "pod", "pods")) }

// ago is how long ago something was.
func ago(t, now time.Time) string { return duration.HumanDuration(max(now.Sub(t), 0)) }
