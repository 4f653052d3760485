package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// The results of what was measured together stand in the document between such lines; the words around them are for people to
// write.
const (
	beginMark = "<!-- results of %s: made by make bench, do not edit -->"
	endMark   = "<!-- end of results -->"
)

// row is what the runs of one phase have in common.
type row struct {
	scenario, phase string
	pods            int
	runs            []figures
}

// report collects what was measured.
type report struct {
	arguments []string
	machine   string
	versions  string
	began     time.Time
	rows      []*row
	// idles are shares of a core, by scenario and number of standing pods.
	idles   []*idle
	goBench string
	// pulls is what was measured of images that are pulled ahead.
	pulls string
}

type idle struct {
	scenario string
	pods     int
	shares   []float64
}

func newReport(arguments []string, machine string) *report {
	return &report{arguments: arguments, machine: machine, began: time.Now()}
}

func (r *report) add(scenario, phase string, pods int, f figures) {
	found := r.find(scenario, phase, pods)
	if found == nil {
		found = &row{scenario: scenario, phase: phase, pods: pods}
		r.rows = append(r.rows, found)
	}
	found.runs = append(found.runs, f)
}

func (r *report) find(scenario, phase string, pods int) *row {
	for _, row := range r.rows {
		if row.scenario == scenario && row.phase == phase && row.pods == pods {
			return row
		}
	}
	return nil
}

func (r *report) addIdle(scenario string, pods int, share float64) {
	for _, i := range r.idles {
		if i.scenario == scenario && i.pods == pods {
			i.shares = append(i.shares, share)
			return
		}
	}
	r.idles = append(r.idles, &idle{scenario, pods, []float64{share}})
}

// spread is the smallest, the middle and the largest of some numbers.
type spread struct{ low, mid, high float64 }

func spreadOf(values []float64) spread {
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	if n == 0 {
		return spread{}
	}
	return spread{values[0], (values[(n-1)/2] + values[n/2]) / 2, values[n-1]}
}

// in writes a spread with a number format; one number does when all are the same in print.
func (s spread) in(format string) string {
	low, mid, high := fmt.Sprintf(format, s.low), fmt.Sprintf(format, s.mid), fmt.Sprintf(format, s.high)
	if low == high {
		return mid
	}
	return low + " / **" + mid + "** / " + high
}

// of is the spread of one figure over the runs.
func (r *row) of(figure func(figures) float64) spread {
	var values []float64
	for _, f := range r.runs {
		values = append(values, figure(f))
	}
	return spreadOf(values)
}

// perPod is the spread of a count of the component's requests, for each pod.
func (r *row) perPod(match func(request) bool, count func(outcome) int) spread {
	return r.of(func(f figures) float64 {
		own := func(q request) bool { return slices.Contains(f.agents, q.agent) && match(q) }
		return float64(count(f.requests.sum(own))) / float64(r.pods)
	})
}

func (r *row) writes() spread { return r.perPod(request.write, all) }
func (r *row) reads() spread  { return r.perPod(request.read, all) }
func (r *row) podReads() spread {
	return r.perPod(func(q request) bool { return q.read() && q.ofPods() }, all)
}
func (r *row) conflicts() spread {
	return r.perPod(request.write, func(o outcome) int { return o.conflicts })
}
func (r *row) available() spread {
	return r.of(func(f figures) float64 { return f.available.Seconds() })
}
func (r *row) own() spread { return r.of(func(f figures) float64 { return f.own.Seconds() }) }
func (r *row) peak() spread {
	return r.of(func(f figures) float64 { return float64(f.peak) / (1 << 20) })
}

func all(o outcome) int { return o.all }

// processor is the spread of a process's processor time.
func (r *row) processor(name string) spread {
	return r.of(func(f figures) float64 { return f.cpu[name].Seconds() })
}

// markdown writes the report.
func (r *report) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "Measured on %s with `%s` at commit %s.\n\n- Machine: %s\n- Versions: %s, %s\n\n",
		r.began.UTC().Format("2 January 2006"), strings.Join(append([]string{"go run ./test/scale"}, r.arguments...), " "), commit(),
		r.machine, r.versions, goVersion())
	out.WriteString("Where there are three numbers, they are the smallest, the **median** and the largest of all runs.\n")
	for _, n := range r.sizes() {
		rows := slices.DeleteFunc(slices.Clone(r.rows), func(row *row) bool { return row.pods != n })
		fmt.Fprintf(&out, "\n### %d pods\n\n", n)
		r.results(&out, rows)
		r.processors(&out, rows)
		r.requests(&out, rows)
	}
	out.WriteString(r.pulls)
	r.idle(&out)
	r.goals(&out)
	if r.goBench != "" {
		out.WriteString("\n### Decisions alone\n\n`go test -run '^$' -bench . -benchmem ./plan/...`\n\n```\n" + r.goBench + "```\n")
	}
	return out.String()
}

func (r *report) sizes() []int {
	var sizes []int
	for _, row := range r.rows {
		sizes = append(sizes, row.pods)
	}
	slices.Sort(sizes)
	return slices.Compact(sizes)
}

func (r *report) results(out *strings.Builder, rows []*row) {
	out.WriteString("| | | seconds until all are updated and available | until the status says so | writes a pod | reads a pod | conflicts a pod | processor seconds | most memory | reconciles |\n" +
		"|---|---|---|---|---|---|---|---|---|---|\n")
	for _, row := range rows {
		// A bare loop is a part of the program that measures, so what it costs cannot be told apart.
		status, own, peak, reconciles := "", "", "", ""
		if s := row.of(func(f figures) float64 { return f.reported.Seconds() }); s.high > 0 {
			status = s.in("%.1f")
		}
		if s := row.peak(); s.high > 0 {
			own, peak = row.own().in("%.1f"), s.in("%.0f MiB")
		}
		if s := row.of(func(f figures) float64 { return f.reconciles }); s.high > 0 {
			reconciles = s.in("%.0f")
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", row.scenario, row.phase, row.available().in("%.1f"), status,
			row.writes().in("%.2f"), row.reads().in("%.2f"), row.conflicts().in("%.2f"), own, peak, reconciles)
	}
}

// processors tells which program the time went to.
func (r *report) processors(out *strings.Builder, rows []*row) {
	names := map[string]float64{}
	for _, row := range rows {
		for _, f := range row.runs {
			for name, used := range f.cpu {
				names[name] += used.Seconds()
			}
		}
	}
	var order []string
	for name := range names {
		order = append(order, name)
	}
	slices.SortFunc(order, func(a, b string) int { return cmp.Or(cmp.Compare(names[b], names[a]), cmp.Compare(a, b)) })
	out.WriteString("\nProcessor seconds of every program until all was quiet again, medians (`kwok` plays the kubelets, `scale` measures and is the bare loop):\n\n| | | " +
		strings.Join(order, " | ") + " | sum |\n|---|---|" + strings.Repeat("---|", len(order)+1) + "\n")
	for _, row := range rows {
		fmt.Fprintf(out, "| %s | %s |", row.scenario, row.phase)
		sum := 0.0
		for _, name := range order {
			s := row.processor(name).mid
			sum += s
			fmt.Fprintf(out, " %.1f |", s)
		}
		fmt.Fprintf(out, " %.1f |\n", sum)
	}
}

// requests tells who wrote what, for each pod, and what the component read.
func (r *report) requests(out *strings.Builder, rows []*row) {
	out.WriteString("\nWrites for each pod by everybody, and reads by what is measured, medians, from 0.01:\n\n| | | requests |\n|---|---|---|\n")
	for _, row := range rows {
		type entry struct {
			request request
			count   float64
		}
		var entries []entry
		seen := map[request]bool{}
		for _, f := range row.runs {
			for q := range f.requests {
				if seen[q] || !q.write() && !slices.Contains(f.agents, q.agent) {
					continue
				}
				seen[q] = true
				s := row.of(func(f figures) float64 { return float64(f.requests[q].all) / float64(row.pods) })
				if s.mid >= 0.01 {
					entries = append(entries, entry{q, s.mid})
				}
			}
		}
		slices.SortFunc(entries, func(a, b entry) int {
			return cmp.Or(cmp.Compare(a.request.agent, b.request.agent), cmp.Compare(b.count, a.count), cmp.Compare(a.request.resource, b.request.resource), cmp.Compare(a.request.verb, b.request.verb))
		})
		var texts []string
		for _, e := range entries {
			texts = append(texts, fmt.Sprintf("%s: %s %s %.2f", e.request.agent, e.request.verb, e.request.resource, e.count))
		}
		fmt.Fprintf(out, "| %s | %s | %s |\n", row.scenario, row.phase, strings.Join(texts, "; "))
	}
}

func (r *report) idle(out *strings.Builder) {
	if len(r.idles) == 0 {
		return
	}
	out.WriteString("\n### Doing nothing\n\n| | standing pods | share of a core |\n|---|---|---|\n")
	for _, i := range r.idles {
		s := spreadOf(i.shares)
		fmt.Fprintf(out, "| %s | %d | %s |\n", i.scenario, i.pods, spread{100 * s.low, 100 * s.mid, 100 * s.high}.in("%.2f%%"))
	}
}

// insert puts the text between the marks in a document that are for what was measured.
func insert(file, measured, text string) error {
	document, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the document for the results: %w", err)
	}
	begin := fmt.Sprintf(beginMark, measured)
	head, rest, ok := strings.Cut(string(document), begin+"\n")
	_, tail, closed := strings.Cut(rest, endMark)
	if !ok || !closed {
		return fmt.Errorf("%s: want a line %q and after it a line %q, for the results to stand between", file, begin, endMark)
	}
	document = []byte(head + begin + "\n\n" + strings.TrimSpace(text) + "\n\n" + endMark + tail)
	if err := os.WriteFile(file, document, 0o644); err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	return nil
}
