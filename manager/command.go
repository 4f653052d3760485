package manager

import (
	"cmp"
	"context"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/kit/program"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager/images"
	"kruise.io/kruise/manager/pod"
	"kruise.io/kruise/manager/podops"
)

// Command makes the command kruise-manager. The environment is read through getenv.
func Command(getenv func(string) string) (*cobra.Command, error) {
	gates, err := NewGateSet()
	if err != nil {
		return nil, err
	}
	options, assign := &Options{}, true
	options.Images.ConfigNamespace = cmp.Or(getenv("KRUISE_DAEMON_CONFIG_NS"), images.DefaultConfigNamespace)
	options.Kinds = strings.FieldsFunc(getenv("CUSTOM_RESOURCE_ENABLE"), func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	return serve.Command(serve.Program{
		Name:    Name,
		Short:   "Runs the controllers and webhooks of the workload kinds of Kruise.",
		Ignored: ignoredFlags(),
		Flags: func(flags *pflag.FlagSet) {
			gates.AddFlag(flags)
			flags.IntVar(&options.CloneSetWorkers, "cloneset-workers", podops.DefaultWorkers, "CloneSets that are worked on at a time.")
			flags.IntVar(&options.DaemonSetWorkers, "daemonset-workers", podops.DefaultWorkers, "DaemonSets that are worked on at a time.")
			flags.BoolVar(&assign, "assign-pods-by-scheduler", true,
				"Have the scheduler put pods of DaemonSets on their nodes. Otherwise they are created there, and no scheduler is asked.")
			flags.IntVar(&options.StatefulSetWorkers, "statefulset-workers", podops.DefaultWorkers, "StatefulSets that are worked on at a time.")
			flags.IntVar(&options.SidecarSets.Workers, "sidecarset-workers", podops.DefaultWorkers, "SidecarSets that are worked on at a time.")
			flags.IntVar(&options.Recreate.Workers, "crr-workers", podops.DefaultWorkers, "ContainerRecreateRequests that are worked on at a time.")
			flags.BoolVar(&options.Workloads.ExcludePreparingDelete, "cloneset-scaling-exclude-preparing-delete", false,
				"Leave pods in PreparingDelete out of the count of pods of every CloneSet, as spec.scaleStrategy.excludePreparingDelete does of one.")
			options.Images.AddFlags(flags)
			flags.IntVar(&options.PersistentPodStateWorkers, "persistentpodstate-workers", podops.DefaultWorkers, "PersistentPodStates that are worked on at a time.")
			flags.IntVar(&options.PodProbeMarkerWorkers, "podprobemarker-workers", podops.DefaultWorkers, "PodProbeMarkers that are worked on at a time.")
			flags.IntVar(&options.NodePodProbeWorkers, "nodepodprobe-workers", podops.DefaultWorkers, "Nodes whose probes are worked on at a time.")
			flags.IntVar(&options.BudgetWorkers, "podunavailablebudget-workers", podops.DefaultWorkers, "PodUnavailableBudgets that are worked on at a time.")
			flags.Int32Var(&options.Pod.TimeoutSeconds, "pod-webhook-timeout-seconds", 10, "How long the API server waits for an answer about a pod, in seconds, from 1 to 30.")
			flags.StringToStringVar(&options.Pod.Policies, "pod-webhook-failure-policy", nil,
				"What the API server does with pods that ask for something while no manager answers, as name=Fail|Ignore,... Names and defaults: "+pod.Defaults()+".")
		},
		Component: func(ctx context.Context) (serve.Component, error) {
			for _, warning := range gates.Warnings() {
				log.FromContext(ctx).Info("WARNING: " + warning)
			}
			for _, name := range options.unknown() {
				log.FromContext(ctx).Info("WARNING: CUSTOM_RESOURCE_ENABLE names a kind that is not in this version", "kind", name)
			}
			options.setGates(gates)
			options.Workloads.BindDirectly = !assign
			if err := options.Pod.Validate(); err != nil {
				return serve.Component{}, err
			}
			return Component(options)
		},
	}, getenv)
}

// ignoredFlags lists flags with which OpenKruise is deployed and that mean nothing here.
func ignoredFlags() []program.IgnoredFlag {
	const noExpectations = "the manager waits until its caches show its own writes, for as long as it takes"
	const noLimiter = "failed objects are retried with exponential delay, and requests are not limited here"
	const notYet = "the kind that it tunes is not in this version"
	flags := []program.IgnoredFlag{
		{Name: "allow-privileged", Bool: true, Why: "the API server decides what pods may do"},
		{Name: "disable-no-deepcopy", Bool: true, Why: "there is no such mode"},
		{Name: "expectation-timeout", Why: noExpectations},
		{Name: "logtostderr", Bool: true, Why: "logs always go to the standard error stream"},
		{Name: "protection-log-path", Why: "refused deletions are in the log of the manager, in its metrics and in the audit log of the API server"},
		{Name: "rate-limiter-base-delay", Why: noLimiter},
		{Name: "rate-limiter-bucket-size", Why: noLimiter},
		{Name: "rate-limiter-max-delay", Why: noLimiter},
		{Name: "rate-limiter-qps", Why: noLimiter},
		{Name: "webhook-initialize-timeout", Why: "readiness waits for the webhook without a limit"},
		{Name: "ws-enabled-versioned-status", Bool: true, Why: notYet},
	}
	for _, kind := range []string{
		"advancedcronjob", "broadcastjob",
		"resourcedistribution", "uniteddeployment", "workloadspread",
	} {
		flags = append(flags, program.IgnoredFlag{Name: kind + "-workers", Why: notYet})
	}
	return flags
}
