package kubectl

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"kruise.io/kruise/kubectl/explain"
	"kruise.io/kruise/kubectl/forecast"
	"kruise.io/kruise/kubectl/kinds"
)

func (p *plugin) explain() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "explain (KIND/NAME | KIND NAME)",
		Short: "Say how a workload or a budget stands, what it waits for, and what to do about it",
		Example: `  # Why is it stuck?
  kubectl kruise explain cloneset/demo

  # The same for a program
  kubectl kruise explain clone demo -o json

  # Which pods spend a budget?
  kubectl kruise explain pub/demo`,
		ValidArgsFunction: p.complete(kinds.Budgets()),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkForm(form); err != nil {
				return err
			}
			kind, name, err := nameOf(args, kinds.Budgets())
			if err != nil {
				return err
			}
			if kind.New == nil {
				return p.explainBudget(cmd.Context(), name, form)
			}
			return p.explainWorkload(cmd.Context(), kind, name, form)
		},
	}
	cmd.Flags().StringVarP(&form, "output", "o", formText, "json or yaml; text for people if left out")
	return cmd
}

func (p *plugin) explainWorkload(ctx context.Context, kind *kinds.Kind, name, form string) error {
	options, gates, err := p.options()
	if err != nil {
		return err
	}
	cluster, namespace, err := p.cluster()
	if err != nil {
		return err
	}
	found, owned, err := cluster.Read(ctx, kind, namespace, name)
	if err != nil {
		return err
	}
	if owned.Budgets, err = cluster.Budgets(ctx, kind, namespace); err != nil {
		return err
	}
	owned.Gates = gates
	now := p.now()
	view, err := found.View(owned, options, ids())
	if err != nil {
		return about(found, err)
	}
	e, err := explain.Explain(found, view, owned.Protection, now)
	if err != nil {
		return about(found, err)
	}
	return p.print(form, e, func() string { return e.Text(now) })
}

func (p *plugin) explainBudget(ctx context.Context, name, form string) error {
	_, gates, err := p.options()
	if err != nil {
		return err
	}
	cluster, namespace, err := p.cluster()
	if err != nil {
		return err
	}
	budget, pods, err := cluster.Budget(ctx, namespace, name)
	if err != nil {
		return err
	}
	now := p.now()
	e := explain.ExplainBudget(budget, pods, gates, now)
	return p.print(form, e, func() string { return e.Text(now) })
}

func (p *plugin) plan() *cobra.Command {
	var form, hooks string
	var change kinds.Change
	var replicas int32
	var paused bool
	startTakes := 2 * time.Second
	cmd := &cobra.Command{
		Use:   "plan (KIND/NAME | KIND NAME)",
		Short: "Say what would be done to the pods of a workload, to the end, and change nothing",
		Long: "plan plays the rollout of a workload to its end, as it is or with the changes that flags name, with the decisions of the\n" +
			"controller on copies of the live objects and a modelled cluster. It changes nothing.",
		Example: `  # What would a new image do?
  kubectl kruise plan cloneset/demo --set-image app=demo:2

  # And only in a fifth of the pods?
  kubectl kruise plan cloneset/demo --set-image app=demo:2 --partition 80%`,
		ValidArgsFunction: p.complete(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkForm(form); err != nil {
				return err
			}
			options, _, err := p.options()
			if err != nil {
				return err
			}
			if hooks != "hold" && hooks != "lift" {
				return fmt.Errorf("--hooks is %q: it must be hold or lift", hooks)
			}
			if startTakes < 0 {
				return fmt.Errorf("--start-takes is %s: it must not be negative", startTakes)
			}
			if cmd.Flags().Changed("replicas") {
				change.Replicas = &replicas
			}
			if cmd.Flags().Changed("paused") {
				change.Paused = &paused
			}
			found, owned, err := p.read(cmd.Context(), args)
			if err != nil {
				return err
			}
			if err := found.Change(change); err != nil {
				return fmt.Errorf("%s would be invalid: %w", title(found), err)
			}
			now := p.now()
			f, err := forecast.Foresee(cmd.Context(), found, owned, now, forecast.Options{
				Manager: options, StartTakes: startTakes, LiftHooks: hooks == "lift", Progress: patience(p.IOStreams, p.now),
			})
			if err != nil {
				return about(found, err)
			}
			return p.print(form, f, func() string { return f.Text(now) })
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&form, "output", "o", formText, "json or yaml; text for people if left out")
	flags.StringVar(&hooks, "hooks", "hold", "hold: life-cycle hooks hold pods as they do now; lift: they let go at once")
	flags.DurationVar(&startTakes, "start-takes", startTakes, "how long a container takes to start")
	flags.Int32Var(&replicas, "replicas", 0, "change spec.replicas")
	flags.BoolVar(&paused, "paused", false, "change paused of the rolling update")
	addChange(flags, &change)
	return cmd
}

func addChange(flags *pflag.FlagSet, change *kinds.Change) {
	flags.StringArrayVar(&change.Images, "set-image", nil, "CONTAINER=IMAGE: change an image of the template; may be given several times")
	flags.StringVar(&change.Partition, "partition", "", "change partition of the rolling update: an integer or a percentage")
	flags.StringVar(&change.MaxUnavailable, "max-unavailable", "", "change maxUnavailable of the rolling update: an integer or a percentage")
	flags.StringVar(&change.MaxSurge, "max-surge", "", "change maxSurge of the rolling update: an integer or a percentage")
	flags.StringVar(&change.Policy, "policy", "", "change podUpdatePolicy: ReCreate, InPlaceIfPossible or InPlaceOnly")
}

// patience says every few seconds on the error stream how far a forecast is.
func patience(streams genericiooptions.IOStreams, now func() time.Time) func(int, time.Duration) {
	const every = 3 * time.Second
	next := now().Add(every)
	return func(waves int, at time.Duration) {
		if now().After(next) {
			next = now().Add(every)
			fmt.Fprintf(streams.ErrOut, "still planning: %d waves, %s of the rollout\n", waves, at)
		}
	}
}

// title names a workload.
func title(w kinds.Workload) string {
	return w.Kind().Name + " " + explain.Title(w.Object().GetNamespace(), w.Object().GetName())
}

// about says which workload an error is about.
func about(w kinds.Workload, err error) error { return fmt.Errorf("%s: %w", title(w), err) }

// ids makes up what tells pods apart that are to be created; nobody gets to see it.
func ids() func() string {
	n := 0
	return func() string { n++; return fmt.Sprintf("new-%d", n) }
}
