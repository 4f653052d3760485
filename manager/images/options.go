package images

import (
	"context"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	"kruise.io/kruise/plan/images"
)

// Options tune the controllers.
type Options struct {
	// Enabled runs the controllers; otherwise new jobs are refused, and those that there are can be deleted.
	Enabled bool
	// NodeWorkers, JobWorkers and ListWorkers are how many objects of each kind are worked on at a time. At least 1.
	NodeWorkers, JobWorkers, ListWorkers int
	// CreationDelay is how long a node must be ready before it gets a NodeImage.
	CreationDelay time.Duration
	// Keep is how long a task is kept beyond the time that its job may take, in seconds.
	Keep int64
	// ConfigNamespace is the namespace from which nodes read pull secrets.
	ConfigNamespace string
}

// DefaultConfigNamespace is where nodes read pull secrets, unless said otherwise.
const DefaultConfigNamespace = "kruise-daemon-config"

// AddFlags adds the flags that tune the controllers.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	const workers = 3
	flags.IntVar(&o.NodeWorkers, "nodeimage-workers", workers, "NodeImages that are worked on at a time.")
	flags.IntVar(&o.JobWorkers, "imagepulljob-workers", workers, "ImagePullJobs that are worked on at a time.")
	flags.IntVar(&o.ListWorkers, "imagelistpulljob-workers", workers, "ImageListPullJobs that are worked on at a time.")
	flags.DurationVar(&o.CreationDelay, "nodeimage-creation-delay", 30*time.Second, "How long a node must be ready before it gets a NodeImage.")
	flags.Int64Var(&o.Keep, "default-ttlseconds-for-always-nodeimage", images.DefaultKeep,
		"How long a task stays in a NodeImage beyond the time that its job may take, in seconds; up to five minutes are added so that not all nodes are written to at once.")
}

// Shared makes the controllers of all kinds over one board, once the first of them is set up.
type Shared struct {
	Options Options

	controllers *Controllers
}

func (s *Shared) setup(ctx context.Context, mgr ctrl.Manager, add func(*Controllers, ctrl.Manager) error) error {
	if !s.Options.Enabled {
		return nil
	}
	if s.controllers == nil {
		controllers, err := s.Options.New(ctx, mgr, clock.RealClock{})
		if err != nil {
			return err
		}
		s.controllers = controllers
	}
	return add(s.controllers, mgr)
}

// SetupNodeImages adds the controllers of NodeImages to a manager, if they are enabled.
func (s *Shared) SetupNodeImages(ctx context.Context, mgr ctrl.Manager) error {
	return s.setup(ctx, mgr, (*Controllers).setupNodeImages)
}

// SetupJobs adds the controllers of ImagePullJobs and their pull secrets to a manager, if they are enabled. Otherwise one is left:
// it lets go of jobs that another manager holds.
func (s *Shared) SetupJobs(ctx context.Context, mgr ctrl.Manager) error {
	if !s.Options.Enabled {
		return setupRelease(mgr)
	}
	return s.setup(ctx, mgr, (*Controllers).setupJobs)
}

// SetupLists adds the controller of ImageListPullJobs to a manager, if they are enabled.
func (s *Shared) SetupLists(ctx context.Context, mgr ctrl.Manager) error {
	return s.setup(ctx, mgr, (*Controllers).setupLists)
}
