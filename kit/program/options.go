package program

import (
	"flag"

	"github.com/spf13/pflag"
	logsapi "k8s.io/component-base/logs/api/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
)

// Options are the flags that every program has.
type Options struct {
	// EnablePprof serves profiles at PprofAddr.
	EnablePprof bool
	PprofAddr   string
	// QPS and Burst throttle requests to the API server; a QPS of 0 or less does not.
	QPS   float32
	Burst int
	// Logging is the format and verbosity of logs.
	Logging *logsapi.LoggingConfiguration
}

// NewOptions returns the defaults, with an address for profiles.
func NewOptions(pprofAddr string) Options {
	return Options{PprofAddr: pprofAddr, QPS: -1, Logging: logsapi.NewLoggingConfiguration()}
}

// AddFlags adds a flag for each option.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.EnablePprof, "enable-pprof", o.EnablePprof, "Serve profiles of this process at --pprof-addr.")
	flags.StringVar(&o.PprofAddr, "pprof-addr", o.PprofAddr, "Address of the profiles.")
	flags.Float32Var(&o.QPS, "rest-config-qps", o.QPS, "Requests a second to the API server that this process limits itself to; 0 or less is no limit.")
	flags.IntVar(&o.Burst, "rest-config-burst", o.Burst, "Requests allowed at once beyond --rest-config-qps.")
	logsapi.AddFlags(o.Logging, flags)

	// --kubeconfig belongs to controller-runtime, which reads it when the configuration is loaded.
	own := flag.NewFlagSet("", flag.ContinueOnError)
	config.RegisterFlags(own)
	flags.AddGoFlagSet(own)
}
