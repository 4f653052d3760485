package serve

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Program is a component as a command line sees it.
type Program struct {
	// Name and Short are told by --help; Name also names the component.
	Name, Short string
	// Ignored are flags that are accepted and do nothing.
	Ignored []IgnoredFlag
	// Flags adds the program's own flags.
	Flags func(*pflag.FlagSet)
	// Component makes the component once all flags are read. Name and Version are filled in by the command.
	Component func(ctx context.Context) (Component, error)
}

// IgnoredFlag is a flag that is accepted, so that existing deployments start, and does nothing.
type IgnoredFlag struct {
	Name string
	// Bool says that the flag may stand without a value.
	Bool bool
	// Why ends the warning: "flag --x has no effect: <why>".
	Why string
}

// gcPercent makes the garbage collector run twice as often as by default, unless GOGC says otherwise: measured on rollouts, it
// takes an eighth of the memory away and costs no processor time that could be told from noise.
const gcPercent = 50

// Command makes the command of a program. Options that come from the environment are read through getenv.
func Command(p Program, getenv func(string) string) (*cobra.Command, error) {
	options, err := NewOptions(p.Name, getenv)
	if err != nil {
		return nil, err
	}
	cmd := &cobra.Command{
		Use:           p.Name,
		Short:         p.Short,
		Version:       version(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := options.Validate(); err != nil {
				return err
			}
			// Logging is process-wide in client-go and controller-runtime; it is set up here, before anything logs, and
			// from here on loggers travel in contexts only.
			if err := logsapi.ValidateAndApply(options.Logging, nil); err != nil {
				return fmt.Errorf("setting up logging: %w", err)
			}
			logs.InitLogs() // what libraries write with the standard library's log
			defer logs.FlushLogs()
			logger := klog.Background()
			ctrl.SetLogger(logger)
			if getenv("GOGC") == "" {
				debug.SetGCPercent(gcPercent)
			}
			warnOfIgnored(logger, cmd.Flags(), p.Ignored)

			ctx := log.IntoContext(cmd.Context(), logger)
			component, err := p.Component(ctx)
			if err != nil {
				return err
			}
			component.Name, component.Version = p.Name, version()
			config, err := ctrl.GetConfig()
			if err != nil {
				return fmt.Errorf("finding the API server (--kubeconfig, KUBECONFIG, or the service account of a pod): %w", err)
			}
			logger.Info("Starting", "component", component.Name, "version", component.Version)
			return Run(ctx, config, component, options)
		},
	}
	cmd.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	options.AddFlags(cmd.Flags())
	p.Flags(cmd.Flags())
	for _, ignored := range p.Ignored {
		flag := cmd.Flags().VarPF(new(anything), ignored.Name, "", "")
		flag.Hidden = true
		if ignored.Bool {
			flag.NoOptDefVal = "true"
		}
	}
	return cmd, nil
}

func warnOfIgnored(logger klog.Logger, flags *pflag.FlagSet, ignored []IgnoredFlag) {
	for _, i := range ignored {
		if flags.Changed(i.Name) {
			logger.Info("WARNING: flag --"+i.Name+" has no effect: "+i.Why, "value", flags.Lookup(i.Name).Value.String())
		}
	}
}

// version is the module's version and the commit that the program was built from, as far as the build knew them.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" {
		v = "(devel)"
	}
	return v
}

// anything is the value of a flag that is ignored.
type anything string

// Set implements pflag.Value.
func (a *anything) Set(s string) error { *a = anything(s); return nil }

// String implements pflag.Value.
func (a *anything) String() string { return string(*a) }

// Type implements pflag.Value.
func (a *anything) Type() string { return "string" }
