package forecast

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kruise.io/kruise/kubectl/explain"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/revision"
)

// Text is the forecast for people.
func (f *Forecast) Text(now time.Time) string {
	var t strings.Builder
	fmt.Fprintf(&t, "%s %s: what would be done, nothing is changed.\n", f.Kind, explain.Title(f.Namespace, f.Name))
	fmt.Fprintf(&t, "Assumed: %s.\n", strings.Join(f.Assumptions, "; "))
	for _, r := range f.Others {
		r.Tell(&t)
	}
	t.WriteString("\n")
	for i := 0; i < len(f.Waves); {
		w := &f.Waves[i]
		fmt.Fprintf(&t, "%3d. %s: %s\n", i+1, when(w.At), f.describe(w))
		i++
		if n := f.alike(i - 1); n > 2 {
			fmt.Fprintf(&t, "     and so on until wave %d: %s\n", i+n, podset.Names(f.podsOf(i, i+n)))
			i += n
		}
	}
	f.end(&t, now)
	return t.String()
}

func when(at Seconds) string {
	if at == 0 {
		return "at once"
	}
	return "after " + at.Duration().String()
}

// describe says what is begun in a wave and what it costs.
func (f *Forecast) describe(w *Wave) string {
	var words []string
	for _, s := range w.Steps {
		words = append(words, s.Text)
	}
	text := strings.Join(words, "; ")
	if w.Until < f.Takes || f.Rest.AtRest {
		text += fmt.Sprintf("; takes about %s", (w.Until - w.At).Duration())
	}
	return text + fmt.Sprintf("; at least %d of %d available", w.LeastAvailable, f.After.Wanted)
}

// alike counts the waves behind one that differ from it in their pods and times alone.
func (f *Forecast) alike(i int) int {
	n := 0
	for _, w := range f.Waves[i+1:] {
		if w.shape() != f.Waves[i].shape() {
			break
		}
		n++
	}
	return n
}

func (w *Wave) shape() string {
	var t strings.Builder
	fmt.Fprintf(&t, "%d for %d:", w.LeastAvailable, w.Until-w.At)
	for _, s := range w.Steps {
		fmt.Fprintf(&t, " %s %d", s.Do, len(s.Pods))
	}
	return t.String()
}

// podsOf are the pods that exist and that waves are about.
func (f *Forecast) podsOf(from, to int) []string {
	var out []string
	for _, w := range f.Waves[from:to] {
		for _, s := range w.Steps {
			if s.Do != string(podset.Create) {
				out = append(out, s.Pods...)
			}
		}
	}
	if out == nil {
		return []string{"new pods"}
	}
	return slices.Compact(out) // a pod may have two steps in a wave
}

// end says where it stops and why there.
func (f *Forecast) end(t *strings.Builder, now time.Time) {
	if len(f.Waves) == 0 {
		t.WriteString("Nothing is begun.\n")
	} else {
		fmt.Fprintf(t, "Over after about %s; never fewer than %d of %d pods available.\n", f.Takes.Duration(), f.LeastAvailable, f.After.Wanted)
	}
	r := f.Rest
	if r.AtRest {
		fmt.Fprintf(t, "Then %s.\n", r.Summary)
		return
	}
	fmt.Fprintf(t, "\nIt stops there for good: %s.\n", r.Summary)
	for _, wish := range r.Wishes() {
		fmt.Fprintf(t, "  %s\n", wish)
	}
	for _, p := range r.Patients(now.Add(f.Takes.Duration())) {
		fmt.Fprintf(t, "  %s\n", p)
	}
	for _, old := range r.Others {
		if f.After.Updated >= f.After.ExpectedUpdated {
			because := fmt.Sprintf("partition is %d", r.Budget.Partition)
			if f.After.KeptBySelector {
				because = "the selector leaves their nodes out"
			}
			fmt.Fprintf(t, "  %d of revision %s stay as they are: %s\n", old.Pods, revision.ShortHash(old.Name), because)
		}
	}
	if r.Remedy != "" {
		fmt.Fprintf(t, "What to do: %s.\n", r.Remedy)
	}
}
