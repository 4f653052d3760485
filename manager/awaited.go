package manager

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/kit/serve"
)

// awaitPause is how often the API server is asked for kinds that it did not serve. Each replica pauses between this and twice as long,
// so that they do not all start anew at once.
const awaitPause = 2 * time.Second

// reasonKindServed is the reason of the event about a manager that starts anew.
const reasonKindServed = "KindServed"

// awaited are kinds that the API server did not serve when the manager started. Once it serves some of them, and no more come, the
// process is started anew: what runs for a kind is set up before the manager starts, and some of it depends on which others there are.
type awaited struct {
	kinds []schema.GroupVersionKind
	// resources asks what is served of a group and version.
	resources func(ctx context.Context, groupVersion string) (*metav1.APIResourceList, error)
	client    client.Client
	namespace string
}

// await has a manager watch for kinds that are not served.
func await(mgr ctrl.Manager, place serve.Place, kinds []schema.GroupVersionKind) error {
	if len(kinds) == 0 {
		return nil
	}
	asking, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err == nil {
		err = mgr.Add(&awaited{kinds: kinds, resources: asking.ServerResourcesForGroupVersionWithContext, client: mgr.GetClient(), namespace: place.Namespace})
	}
	if err != nil {
		return fmt.Errorf("watching for kinds that are not served: %w", err)
	}
	return nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica answers webhooks, so every one starts anew.
func (*awaited) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (a *awaited) Start(ctx context.Context) error {
	before := a.kinds
	err := wait.PollUntilContextCancel(ctx, wait.Jitter(awaitPause, 1), false, func(ctx context.Context) (bool, error) {
		missing := a.missing(ctx)
		settled := len(missing) < len(a.kinds) && slices.Equal(missing, before)
		before = missing
		return settled, nil
	})
	if err != nil {
		return nil // the manager stops
	}
	var came []string
	for _, kind := range a.kinds {
		if !slices.Contains(before, kind) {
			came = append(came, kind.Kind)
		}
	}
	why := "the API server serves " + strings.Join(came, ", ") + ", which it did not when this process started"
	log.FromContext(ctx).Info("Starting anew: " + why)
	if err := a.tell(ctx, "Starting anew: "+why); err != nil {
		log.FromContext(ctx).Error(err, "The event about it is lost")
	}
	return fmt.Errorf("%s: %w", why, serve.ErrStartAnew)
}

// missing are those of the kinds that the API server does not serve, as far as it answers.
func (a *awaited) missing(ctx context.Context) []schema.GroupVersionKind {
	lists := map[schema.GroupVersion]*metav1.APIResourceList{}
	return slices.DeleteFunc(slices.Clone(a.kinds), func(kind schema.GroupVersionKind) bool {
		version := kind.GroupVersion()
		list, asked := lists[version]
		if !asked {
			var err error
			if list, err = a.resources(ctx, version.String()); err != nil {
				log.FromContext(ctx).V(2).Info("The API server serves none of these kinds", "version", version.String(), "reason", err.Error())
				list = &metav1.APIResourceList{}
			}
			lists[version] = list
		}
		return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Kind == kind.Kind })
	})
}

// tell writes an event about the managers' lease, where their changes of leadership are told, too. It is written at once, since the
// process is about to end.
func (a *awaited) tell(ctx context.Context, note string) error {
	instance, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("asking for the name of this machine: %w", err)
	}
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, GenerateName: Name + "-"},
		EventTime:  metav1.NowMicro(), Type: corev1.EventTypeNormal, Reason: reasonKindServed, Action: "StartAnew", Note: note,
		ReportingController: Name, ReportingInstance: instance,
		Regarding: corev1.ObjectReference{APIVersion: coordinationv1.SchemeGroupVersion.String(), Kind: "Lease", Namespace: a.namespace, Name: Name},
	}
	if err := a.client.Create(ctx, event); err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	return nil
}
