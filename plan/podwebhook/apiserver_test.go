package podwebhook

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"
)

// judge judges requests as the API server does, and compiles an expression once.
type judge struct {
	rapid.TB
	programs map[string]cel.Program
}

func judgeOf(t rapid.TB) *judge {
	t.Helper()
	return &judge{TB: t, programs: map[string]cel.Program{}}
}

// request is a request about a pod.
type request struct {
	operation  Operation
	namespace  string
	nsLabels   map[string]string
	labels     map[string]string
	owner      string // what its StatefulSet is called; empty is none
	idle       bool   // it is not ready
	mirror     bool
	terminates bool
}

func (r request) pod() *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: r.labels}}
	if r.owner != "" {
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: r.owner, Controller: new(true)}}
	}
	if !r.idle {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	if r.mirror {
		pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	}
	if r.terminates {
		pod.DeletionTimestamp = &metav1.Time{}
	}
	return pod
}

// called says whether the API server would call a webhook, as its documentation tells.
func called(j *judge, w *Webhook, r request) bool {
	j.Helper()
	if w.Operation != r.operation {
		return false
	}
	podLabels := labels.Set(r.labels)
	if r.operation == Evict {
		podLabels = nil
	}
	if !matches(j, w.NamespaceSelector, r.namespaceLabels()) || w.ObjectSelector != nil && !matches(j, w.ObjectSelector, podLabels) {
		return false
	}
	return !slices.ContainsFunc(w.MatchConditions, func(c admissionregistrationv1.MatchCondition) bool { return !holds(j, c.Expression, r) })
}

func (r request) namespaceLabels() labels.Set {
	out := labels.Set{corev1.LabelMetadataName: r.namespace}
	maps.Copy(out, r.nsLabels)
	return out
}

func matches(j *judge, s *metav1.LabelSelector, set labels.Set) bool {
	j.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		j.Fatal(err)
	}
	return selector.Matches(set)
}

// holds evaluates an expression for a request.
func holds(j *judge, expression string, r request) bool {
	j.Helper()
	return evaluate(j, expression, r.variables(j))
}

func (r request) variables(j *judge) map[string]any {
	j.Helper()
	vars := map[string]any{"object": nil, "oldObject": nil, "request": map[string]any{"namespace": r.namespace}}
	for _, name := range map[Operation][]string{Create: {"object"}, Update: {"object", "oldObject"}, Delete: {"oldObject"}, Evict: {"object"}}[r.operation] {
		vars[name] = asMap(j, r.pod())
		if r.operation == Evict {
			vars[name] = asMap(j, &corev1.Pod{})
		}
	}
	return vars
}

func asMap(j *judge, pod *corev1.Pod) map[string]any {
	j.Helper()
	text, err := json.Marshal(pod)
	out := map[string]any{}
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		j.Fatal(err)
	}
	if meta, ok := out["metadata"].(map[string]any); ok && pod.DeletionTimestamp != nil {
		meta["deletionTimestamp"] = "2026-01-01T00:00:00Z" // the zero time is shown as null
	}
	return out
}

// evaluate evaluates an expression as the API server does, within the costs that it allows.
func evaluate(j *judge, expression string, vars map[string]any) bool {
	j.Helper()
	program, ok := j.programs[expression]
	if !ok {
		var err error
		if program, err = compile(expression); err != nil {
			j.Fatalf("%.1000s: %v", expression, err)
		}
		j.programs[expression] = program
	}
	out, _, err := program.Eval(vars)
	if err != nil {
		j.Fatalf("%.1000s fails for %+v: %v", expression, vars, err)
	}
	return out.Value() == true
}

func compile(expression string) (cel.Program, error) {
	env, err := cel.NewEnv(cel.HomogeneousAggregateLiterals(), ext.Strings(ext.StringsVersion(0)),
		cel.Variable("object", cel.DynType), cel.Variable("oldObject", cel.DynType), cel.Variable("request", cel.DynType))
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	if !ast.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("it is of type %s", ast.OutputType())
	}
	return env.Program(ast, cel.EvalOptions(cel.OptOptimize, cel.OptTrackCost), cel.CostLimit(1_000_000), cel.InterruptCheckFrequency(100))
}

// callers are the names of the webhooks that the API server would call.
func callers(j *judge, webhooks []Webhook, r request) []string {
	j.Helper()
	var out []string
	for i := range webhooks {
		if called(j, &webhooks[i], r) {
			out = append(out, webhooks[i].Name)
		}
	}
	return out
}

// wants says whether a demand is about a request, by what its documentation says.
func wants(j *judge, d *Demand, r request) bool {
	j.Helper()
	return d.Operation == r.operation && (d.Namespace == "" || d.Namespace == r.namespace) &&
		(d.NamespaceSelector == nil || matches(j, d.NamespaceSelector, r.namespaceLabels())) &&
		(d.Pods == nil || d.Operation == Evict || matches(j, d.Pods, r.labels)) &&
		(d.Owner == nil || d.Operation == Evict || owns(d.Owner, r)) &&
		meets(j, d, r)
}

// owns says whether an owner controls a pod.
func owns(o *Owner, r request) bool {
	name := o.Name
	if o.Hash != "" {
		hash, ok := r.labels[o.Hash]
		if !ok {
			return false
		}
		name += "-" + hash
	}
	return o.Group == "apps" && o.Kind == "StatefulSet" && r.owner != "" && r.owner == name
}

// meets says whether a request meets the conditions of a demand.
func meets(j *judge, d *Demand, r request) bool {
	j.Helper()
	return !slices.ContainsFunc(d.Conditions, func(c admissionregistrationv1.MatchCondition) bool { return !holds(j, c.Expression, r) })
}

// longest is the length of the longest expression.
func longest(webhooks []Webhook) int {
	out := 0
	for _, w := range webhooks {
		for _, c := range w.MatchConditions {
			out = max(out, strings.Count(c.Expression, "")-1)
		}
	}
	return out
}
