package story

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
)

// log writes down what happens: commands as they come, and then for each second in which there is news the pods as the
// controller sees them, its steps, and what it waits for.
type log struct {
	strings.Builder
	w     *world.World
	name  string
	began time.Time
	// pods, claims and notes are what was said last: only news is written.
	pods, claims, notes string
}

func newLog(w *world.World, name string) *log { return &log{w: w, name: name, began: w.Now} }

func (l *log) command(line string) { fmt.Fprintf(l, "> %s\n", line) }

func (l *log) atRest(since time.Time) { fmt.Fprintf(l, "%6s  at rest\n", since.Sub(l.began)) }

func (l *log) status(text string) {
	fmt.Fprintf(l, "%6s  %s\n", l.w.Now.Sub(l.began), l.short(text))
}

// images writes down what the containers of a pod run.
func (l *log) images(pod *corev1.Pod) {
	var words []string
	for i := range pod.Spec.Containers {
		name := pod.Spec.Containers[i].Name
		words = append(words, name+" "+cmp.Or(l.w.Running(pod, name), "nothing"))
	}
	fmt.Fprintf(l, "%6s  %s runs: %s\n", l.w.Now.Sub(l.began), l.short(pod.Name), strings.Join(words, ", "))
}

// second writes what is new, and says whether the pods, their claims or the notes are.
func (l *log) second(seen []replica.Replica, plan podset.Plan) bool {
	var lines []string
	pods, claims, notes := l.describePods(seen), l.describeClaims(), l.describeNotes(plan.Notes)
	news := pods != l.pods || claims != l.claims || notes != l.notes
	if pods != l.pods {
		lines = append(lines, pods)
	}
	if claims != l.claims {
		lines = append(lines, claims)
	}
	lines = append(lines, l.describeSteps(plan.Steps)...)
	if notes != l.notes && notes != "" {
		lines = append(lines, strings.Split(notes, "\n")...)
	}
	l.pods, l.claims, l.notes = pods, claims, notes
	at := l.w.Now.Sub(l.began).String()
	for _, line := range lines {
		fmt.Fprintf(l, "%6s  %s\n", at, line)
		at = ""
	}
	return news
}

// short turns demo-a into a, and demo-v1 into v1.
func (l *log) short(text string) string { return strings.ReplaceAll(text, l.name+"-", "") }

// describePods says how many pods of each revision are in each condition, and which.
func (l *log) describePods(pods []replica.Replica) string {
	var heads []string
	members := map[string][]string{}
	for _, r := range pods {
		head := revision.ShortHash(r.Revision) + " " + condition(r)
		if !slices.Contains(heads, head) {
			heads = append(heads, head)
		}
		members[head] = append(members[head], l.short(r.Name))
	}
	for i, head := range heads {
		heads[i] = head + ": " + strings.Join(members[head], " ")
	}
	if free := l.released(); len(free) > 0 {
		heads = append(heads, "let go: "+strings.Join(free, " "))
	}
	return cmp.Or(strings.Join(heads, " | "), "no pods")
}

// released are the pods that the set does not own any more.
func (l *log) released() []string {
	var out []string
	for _, pod := range l.w.Pods {
		if metav1.GetControllerOf(pod) == nil {
			out = append(out, l.short(pod.Name))
		}
	}
	return out
}

// describeClaims says which claims have a pod, which are kept without one, and which end.
func (l *log) describeClaims() string {
	var used, kept, ending, growing []string
	for _, claim := range l.w.Claims {
		name := l.short(claim.Name)
		asks, has := claim.Spec.Resources.Requests.Storage(), claim.Status.Capacity.Storage()
		if asks.Cmp(*has) > 0 {
			growing = append(growing, fmt.Sprintf("%s (%s of %s)", name, has, asks))
		}
		switch {
		case claim.DeletionTimestamp != nil:
			ending = append(ending, name)
		case l.w.Mounted(claim.Name):
			used = append(used, name)
		default:
			kept = append(kept, name)
		}
	}
	var words []string
	for _, part := range []struct {
		head  string
		names []string
	}{{"claims: ", used}, {"claims without a pod: ", kept}, {"ending claims: ", ending}, {"growing: ", growing}} {
		if len(part.names) > 0 {
			words = append(words, part.head+strings.Join(part.names, " "))
		}
	}
	if len(words) == 0 && l.claims != "" {
		return "no claims"
	}
	return strings.Join(words, " | ")
}

// condition is what a person would say of a pod.
func condition(r replica.Replica) string {
	var words []string
	switch {
	case r.Terminating:
		words = append(words, "terminating")
	case r.Phase == replica.Ended:
		words = append(words, "ended")
	case r.Available:
		words = append(words, "available")
	case !lifecycle.Serves(r.State):
		words = append(words, string(r.State))
	case r.Ready:
		words = append(words, "ready")
	case r.Phase == replica.Running:
		words = append(words, "not ready")
	default:
		words = append(words, "starting")
	}
	if r.Trouble != "" && !r.Terminating {
		words = append(words, "("+r.Trouble+")")
	}
	return strings.Join(words, " ")
}

// describeSteps puts steps that differ in their pods alone into one line.
func (l *log) describeSteps(steps []podset.Step) []string {
	var lines []string
	for _, g := range podset.Grouped(steps) {
		var words strings.Builder
		fmt.Fprintf(&words, "-> %s", strings.ToLower(string(g.Do)))
		if g.To != "" {
			fmt.Fprintf(&words, " to %s", l.short(g.To))
		}
		if g.State != "" {
			fmt.Fprintf(&words, " to %s", g.State)
		}
		if g.Specified {
			words.WriteString(" for good")
		}
		fmt.Fprintf(&words, ", since %s: %s", l.short(g.Why), l.short(strings.Join(g.Names, " ")))
		lines = append(lines, words.String())
	}
	return lines
}

func (l *log) describeNotes(notes []podset.Note) string {
	var lines []string
	for _, n := range notes {
		lines = append(lines, fmt.Sprintf("-- %d to %s: %s", n.Pods, n.Wish, l.short(n.Because)))
	}
	return strings.Join(lines, "\n")
}
