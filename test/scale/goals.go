package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
)

// goalPods is the number of pods that the goals speak of.
const goalPods = 1000

// reference is what OpenKruise needed for 1,000 pods on two cores, with the limits of its client lifted.
var reference = struct{ createCPU, changeCPU, memory float64 }{createCPU: 9.3, changeCPU: 10.5, memory: 177}

// goals compares the medians with what is aimed at. They are goals and no tests: figures depend on the machine.
func (r *report) goals(out *strings.Builder) {
	create, change := r.find("CloneSet", phaseCreate, goalPods), r.find("CloneSet", phaseChangeAll, goalPods)
	native := r.find("Deployment", phaseCreate, goalPods)
	bareCreate, bareChange := r.find("bare loop", phaseCreate, goalPods), r.find("bare loop", phaseChange, goalPods)
	if create == nil || change == nil {
		return
	}
	fmt.Fprintf(out, "\n### Goals, with %d pods\n\n| goal | aimed at | measured (median) | met |\n|---|---|---|---|\n", goalPods)
	goal := func(what, format string, limit, measured float64) {
		met := "no"
		// What is not different in print is met.
		if measured <= limit || fmt.Sprintf(format, measured) == fmt.Sprintf(format, limit) {
			met = "yes"
		}
		fmt.Fprintf(out, "| %s | at most "+format+" | "+format+" | %s |\n", what, limit, measured, met)
	}
	goal("writes for a pod that is created", "%.1f", 2, create.writes().mid)
	goal("writes for a pod that is updated in place", "%.1f", 3, change.writes().mid)
	goal("reads of pods, for each that is created and updated", "%.2f", 0, create.podReads().mid+change.podReads().mid)
	goal("conflicts for a pod, created and updated", "%.2f", 0, create.conflicts().mid+change.conflicts().mid)
	if native != nil {
		goal("creating all pods: as long as a Deployment needs, seconds", "%.1f", native.available().mid, create.available().mid)
		goal("updating all pods in place: as long as a Deployment needs to create them, seconds", "%.1f", native.available().mid, change.available().mid)
	}
	if bareCreate != nil && bareChange != nil {
		goal("creating all pods: 1.2 times the bare loop with kubelets, seconds", "%.1f", 1.2*bareCreate.available().mid, create.available().mid)
		goal("updating all pods in place: 1.2 times the bare loop with kubelets, seconds", "%.1f", 1.2*bareChange.available().mid, change.available().mid)
	}
	goal("processor time of the manager to create: a third of OpenKruise's, seconds", "%.1f", reference.createCPU/3, create.own().mid)
	goal("processor time of the manager to update in place: a third of OpenKruise's, seconds", "%.1f", reference.changeCPU/3, change.own().mid)
	goal("memory of the manager: a third of OpenKruise's, MiB", "%.0f", reference.memory/3, max(create.peak().mid, change.peak().mid))
}

// goBenchmarks runs the benchmarks of the decisions, which need no cluster.
func goBenchmarks(ctx context.Context) (string, error) {
	say("the benchmarks of plan")
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", ".", "-benchmem", "./plan/...")
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("running the benchmarks of plan: %w\n%s%s", err, out.String(), problems.String())
	}
	var kept strings.Builder
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "Benchmark") || strings.HasPrefix(line, "pkg:") {
			kept.WriteString(line)
		}
	}
	return kept.String(), nil
}

func goVersion() string { return runtime.Version() }
