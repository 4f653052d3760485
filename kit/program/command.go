// Package program is what the command lines of our programs have in common: logging, the way to the API server, a version,
// and flags that are accepted for the sake of existing deployments.
//
// It promises: flags and environment variables are those of OpenKruise where they mean something here; a flag that means
// nothing here and can do no harm is accepted with a warning, so that existing deployments start; no request to the API
// server is throttled here by default, since the server's own priority and fairness does that better; requests name the
// program and its version.
package program

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Program is a program as a command line sees it.
type Program struct {
	// Name and Short are told by --help.
	Name, Short string
	// Options are the flags that every program has.
	Options *Options
	// Ignored are flags that are accepted and do nothing.
	Ignored []IgnoredFlag
	// Flags adds the program's own flags.
	Flags func(*pflag.FlagSet)
	// Validate says what is wrong with the flags, once they are read.
	Validate func() error
	// Run runs the program until the context ends, or until it cannot go on. The logger is in the context.
	Run func(ctx context.Context, config *rest.Config) error
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

// Command makes the command of a program. The environment is read through getenv.
func Command(p Program, getenv func(string) string) *cobra.Command {
	cmd := &cobra.Command{
		Use:           p.Name,
		Short:         p.Short,
		Version:       version(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.Validate(); err != nil {
				return err
			}
			// Logging is process-wide in client-go and controller-runtime; it is set up here, before anything logs, and
			// from here on loggers travel in contexts only.
			if err := logsapi.ValidateAndApply(p.Options.Logging, nil); err != nil {
				return fmt.Errorf("setting up logging: %w", err)
			}
			logs.InitLogs() // what libraries write with the standard library's log
			defer logs.FlushLogs()
			logger := klog.Background()
			log.SetLogger(logger)
			if getenv("GOGC") == "" {
				debug.SetGCPercent(gcPercent)
			}
			if !p.Options.EnablePprof {
				runtime.MemProfileRate = 0 // samples of what is allocated take a megabyte, and nobody could read them
			}
			warnOfIgnored(logger, cmd.Flags(), p.Ignored)

			ctx := log.IntoContext(cmd.Context(), logger)
			server, err := config.GetConfig()
			if err != nil {
				return fmt.Errorf("finding the API server (--kubeconfig, KUBECONFIG, or the service account of a pod): %w", err)
			}
			logger.Info("Starting", "component", p.Name, "version", version())
			return p.Run(ctx, server)
		},
	}
	// A version template of ours would keep text/template in the program, and with it every method of every type: 10 MB.
	p.Options.AddFlags(cmd.Flags())
	p.Flags(cmd.Flags())
	for _, ignored := range p.Ignored {
		flag := cmd.Flags().VarPF(new(anything), ignored.Name, "", "")
		flag.Hidden = true
		if ignored.Bool {
			flag.NoOptDefVal = "true"
		}
	}
	return cmd
}

// Configure makes the configuration with which a program of a name talks to the API server.
func (o *Options) Configure(config *rest.Config, name string) *rest.Config {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = o.QPS, o.Burst
	if config.QPS <= 0 {
		config.QPS = -1 // 0 would mean client-go's default
	}
	config.UserAgent = name + "/" + version()
	return config
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
