// Command play shows what KWOK makes of one object: it reads KWOK's configuration (first argument) and a pod or a node as YAML
// (standard input), and writes the stage that fits, its delay, and the object after that stage. It is KWOK's own code, kept in
// a module of its own so that the product does not depend on it; the tests of package simulate run it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/utils/gotpl"
	"sigs.k8s.io/kwok/pkg/utils/lifecycle"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "play:", err)
		os.Exit(1)
	}
}

// outcome is what is written. Fits lists every stage that fits, of which KWOK would play any one.
type outcome struct {
	Fits    []string `json:"fits"`
	Delay   string   `json:"delay,omitempty"`
	Deleted bool     `json:"deleted,omitempty"`
	After   object   `json:"after,omitempty"`
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("one argument is needed: the file with KWOK's configuration")
	}
	objects, err := config.Load(ctx, args[0])
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return fmt.Errorf("read the object: %w", err)
	}
	var kind struct {
		Kind string `json:"kind"`
	}
	if err := yaml.Unmarshal(input, &kind); err != nil {
		return fmt.Errorf("read the object: %w", err)
	}
	stages := config.FilterWithType[*internalversion.Stage](objects)
	switch kind.Kind {
	case "Pod":
		return play(ctx, stages, kind.Kind, input, &corev1.Pod{}, &corev1.Pod{})
	case "Node":
		return play(ctx, stages, kind.Kind, input, &corev1.Node{}, &corev1.Node{})
	}
	return fmt.Errorf("kind %q: must be Pod or Node", kind.Kind)
}

// object is a pod or a node.
type object interface{ GetFinalizers() []string }

// play reads the object into before and plays a stage of it into after.
func play(ctx context.Context, all []*internalversion.Stage, kind string, input []byte, before, after object) error {
	if err := yaml.UnmarshalStrict(input, before); err != nil {
		return fmt.Errorf("read the %s: %w", kind, err)
	}
	var stages []*internalversion.Stage
	for _, stage := range all {
		if stage.Spec.ResourceRef.Kind == kind {
			stages = append(stages, stage)
		}
	}
	cycle, err := lifecycle.NewLifecycle(stages)
	if err != nil {
		return err
	}
	event := &lifecycle.Event{Data: before}
	fits, err := cycle.ListAllPossible(ctx, event)
	if err != nil {
		return fmt.Errorf("find the stage: %w", err)
	}
	out := outcome{Fits: []string{}}
	for _, stage := range fits {
		out.Fits = append(out.Fits, stage.Name())
	}
	if len(fits) > 0 {
		if err := out.apply(ctx, fits[0], before, after); err != nil {
			return fmt.Errorf("play stage %s: %w", fits[0].Name(), err)
		}
	}
	text, err := yaml.Marshal(out)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

// apply plays the stage at a fixed time and with fixed addresses.
func (out *outcome) apply(ctx context.Context, stage *lifecycle.Stage, before, after object) error {
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	delays, _, err := stage.DelayRangePossible(ctx, &lifecycle.Event{Data: before}, now)
	if err != nil {
		return err
	}
	for _, delay := range delays {
		if delay == 0 {
			continue
		}
		if out.Delay != "" {
			out.Delay += " to "
		}
		out.Delay += delay.String()
	}
	functions := gotpl.FuncMap{"Now": func() string { return now.Format(time.RFC3339) }}
	if _, pod := before.(*corev1.Pod); pod { // KWOK offers these to the stages of pods alone
		functions["NodeIPsWith"] = func(string) []string { return []string{"198.19.0.1"} }
		functions["PodIPsWith"] = func(_ string, _ bool, _, _, _ string) []string { return []string{"198.18.0.7"} }
	}
	_, err = stage.DoSteps(0, before.GetFinalizers(), before, gotpl.NewRenderer(functions),
		func(*internalversion.StageEvent) error { return nil },
		func() error { out.Deleted = true; return nil },
		func(patch *lifecycle.Patch) error {
			if patch.Subresource != "status" {
				return fmt.Errorf("a patch goes to %q, where a status is not written", patch.Subresource)
			}
			if patch.Type != types.StrategicMergePatchType {
				return fmt.Errorf("a patch of type %s drops what others wrote", patch.Type)
			}
			old, err := json.Marshal(before)
			if err != nil {
				return err
			}
			patched, err := strategicpatch.StrategicMergePatch(old, patch.Data, before)
			if err != nil {
				return err
			}
			if err := json.Unmarshal(patched, after); err != nil {
				return err
			}
			out.After = after
			return nil
		},
		func(*lifecycle.Apply) error { return errors.New("no stage applies other objects") },
	)
	return err
}
