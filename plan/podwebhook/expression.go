package podwebhook

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// asked is the expression that holds for every request that one of the demands is about, and for as few others as can be said
// in so many bytes; empty when requests cannot be told apart. The webhook is about the listed namespaces alone, if there are any.
func asked(demands []Demand, listed []string, most int) string {
	all := gather(demands, exactly)
	expression := fitted(apart(all, mostAlternatives), listed, most)
	if len(expression) > most {
		expression = fitted(apart(all, 0), listed, most)
	}
	return expression
}

// alternative is one of the things that demands ask for: whatever differs between those that it stands for is in a column.
type alternative struct {
	// fixed are expressions that all of them require.
	fixed []string
	// loop begins an expression about each owner or each label of a pod, one of which must be as looped says. Empty: neither matters.
	loop   string
	looped []string
	// columns are what differs, and rows the values that go together.
	columns []column
	rows    [][]string
	// loose has the values of each column stand by themselves, whichever go together.
	loose   bool
	demands []Demand
}

// column is something that has another value for each demand.
type column struct {
	// expression is the value that a request has.
	expression string
	// looped says that it is one of the loop, and namespace that it is the request's namespace.
	looped, namespace bool
	// values are those of all rows, sorted.
	values []string
	// open says that any value will do.
	open bool
}

// gather makes alternatives of demands, in an order that does not depend on theirs.
func gather(demands []Demand, of func(Demand) *alternative) []*alternative {
	shapes := map[string]*alternative{}
	for _, d := range demands {
		a := of(d)
		parts := slices.Concat(a.fixed, []string{a.loop}, a.looped)
		for _, c := range a.columns {
			parts = append(parts, c.expression)
		}
		shape := strings.Join(parts, "\n")
		if shapes[shape] == nil {
			shapes[shape] = &alternative{fixed: a.fixed, loop: a.loop, looped: a.looped, columns: a.columns}
		}
		shapes[shape].rows = append(shapes[shape].rows, a.rows...)
		shapes[shape].demands = append(shapes[shape].demands, d)
	}
	var out []*alternative
	for _, shape := range slices.Sorted(maps.Keys(shapes)) {
		a := shapes[shape]
		slices.SortFunc(a.rows, slices.Compare[[]string])
		a.rows = slices.CompactFunc(a.rows, slices.Equal[[]string])
		for i := range a.columns {
			for _, row := range a.rows {
				a.columns[i].values = append(a.columns[i].values, row[i])
			}
			a.columns[i].values = distinct(a.columns[i].values)
		}
		out = append(out, a)
	}
	return out
}

// exactly is what one demand asks for.
func exactly(d Demand) *alternative {
	a := begun(d)
	if d.Operation == Evict {
		return a
	}
	if d.Pods != nil {
		for _, r := range requirements(d.Pods) {
			if r.Operator == metav1.LabelSelectorOpIn && len(a.rows)*len(r.Values) <= mostRows {
				a.fixed = append(a.fixed, there(d.Operation, r.Key))
				a.differ(column{expression: label(d.Operation, r.Key)}, r.Values)
			} else {
				a.fixed = append(a.fixed, met(d.Operation, r))
			}
		}
	}
	if d.Owner != nil {
		if d.Owner.Hash != "" {
			a.fixed = append(a.fixed, there(d.Operation, d.Owner.Hash))
		}
		a.fixed = append(a.fixed, "has("+references(d.Operation)+")")
		a.loop, a.looped = references(d.Operation)+".exists(o, ", d.Owner.is(d.Operation)
		a.differ(column{expression: d.Owner.named(d.Operation), looped: true}, []string{d.Owner.Name})
	}
	return a
}

// coarsely is what one demand asks for, told by its namespace and the key of one label alone.
func coarsely(d Demand) *alternative {
	a := begun(d)
	if r := required(d.Pods); r != nil && d.Operation != Evict {
		labels := metadata(d.Operation) + ".labels"
		a.fixed, a.loop = append(a.fixed, "has("+labels+")"), labels+".exists(k, "
		a.differ(column{expression: "k", looped: true}, []string{r.Key})
	}
	return a
}

// begun is the part that all that a demand asks for has: its conditions and its namespace.
func begun(d Demand) *alternative {
	a := &alternative{rows: [][]string{nil}}
	for _, c := range d.Conditions {
		a.fixed = append(a.fixed, "("+c.Expression+")")
	}
	if d.Namespace != "" {
		a.differ(column{expression: "request.namespace", namespace: true}, []string{d.Namespace})
	}
	return a
}

// differ adds a column, in which each of the values will do.
func (a *alternative) differ(c column, values []string) {
	var rows [][]string
	for _, row := range a.rows {
		for _, value := range values {
			rows = append(rows, append(slices.Clone(row), value))
		}
	}
	a.columns, a.rows = append(a.columns, c), rows
}

// apart keeps those alternatives that stand for most, so many of them, and tells the rest coarsely.
func apart(all []*alternative, most int) []*alternative {
	if len(all) <= most {
		return all
	}
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b *alternative) int { return cmp.Compare(len(b.rows), len(a.rows)) })
	var rest []Demand
	for _, a := range sorted[most:] {
		rest = append(rest, a.demands...)
	}
	return append(sorted[:most:most], gather(rest, coarsely)...)
}

// fitted is the expression for some alternatives. Where it is too long, what takes most room is told less exactly, step by step.
// It is the shortest that there is if even that is too long.
func fitted(all []*alternative, listed []string, most int) string {
	texts, long := make([]string, len(all)), -len(" || ")
	for i, a := range all {
		texts[i] = a.text(listed)
		long += len(texts[i]) + len(" || ")
	}
	for long > most {
		longest := -1
		for i, a := range all {
			if a.canWiden() && (longest < 0 || len(texts[i]) > len(texts[longest])) {
				longest = i
			}
		}
		if longest < 0 {
			break
		}
		all[longest].widen(most)
		long -= len(texts[longest])
		texts[longest] = all[longest].text(listed)
		long += len(texts[longest])
	}
	if slices.Contains(texts, "") {
		return ""
	}
	return strings.Join(distinct(texts), " || ")
}

// text is the expression for an alternative; empty is any request.
func (a *alternative) text(listed []string) string {
	outside, inside := slices.Clone(a.fixed), slices.Clone(a.looped)
	say := func(c column, values []string) {
		if c.looped {
			inside = append(inside, within(c.expression, values))
		} else {
			outside = append(outside, within(c.expression, values))
		}
	}
	if a.together() {
		all, values := column{looped: a.loop != ""}, []string(nil)
		for i, c := range a.columns {
			if i > 0 {
				all.expression += ` + "/" + `
			}
			all.expression += c.expression
		}
		for _, row := range a.rows {
			values = append(values, strings.Join(row, "/"))
		}
		all.expression = "(" + all.expression + ")"
		say(all, distinct(values))
	} else {
		for _, c := range a.columns {
			if !c.open && (!c.namespace || !slices.Equal(c.values, listed)) {
				say(c, c.values)
			}
		}
	}
	if len(inside) > 0 {
		outside = append(outside, a.loop+strings.Join(inside, " && ")+")")
	}
	if len(outside) == 0 {
		return ""
	}
	return "(" + strings.Join(outside, " && ") + ")"
}

// together says whether it matters which values go together.
func (a *alternative) together() bool {
	all := 1
	for _, c := range a.columns {
		if all *= len(c.values); all > len(a.rows) {
			return !a.loose
		}
	}
	return false
}

func (a *alternative) canWiden() bool {
	return a.together() || slices.ContainsFunc(a.columns, func(c column) bool { return !c.open })
}

// widen tells an alternative less exactly: first by the values of each column, then without the longest of these. Namespaces
// are kept to the last, unless they are too many to name at all.
func (a *alternative) widen(most int) {
	if a.together() {
		a.loose = true
		return
	}
	widest, length := -1, 0
	for i, c := range a.columns {
		l := len(within(c.expression, c.values))
		if c.namespace && l <= most {
			l = 0
		}
		if !c.open && (widest < 0 || l > length) {
			widest, length = i, l
		}
	}
	a.columns[widest].open = true
}

func distinct(terms []string) []string {
	slices.Sort(terms)
	return slices.Compact(terms)
}
