package podops

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/plan/workload"
)

func jobOf(name string) *v1beta1.ImagePullJob {
	job := &v1beta1.ImagePullJob{}
	job.Namespace, job.Name, job.Spec.Image = "shop", name, "a:2"
	job.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps.kruise.io/v1beta1", Kind: "CloneSet", Name: "web", UID: "web", Controller: ptr.To(true)}}
	return job
}

// puller is a base that makes jobs, over an API server with the revision web-2 and some jobs, which its cache shows.
func puller(t *testing.T, faults interceptor.Funcs, jobs ...*v1beta1.ImagePullJob) *Base {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	build := fake.NewClientBuilder().WithScheme(scheme).WithObjects(revisionOf("web-2", 2)).WithInterceptorFuncs(faults)
	indexer := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, index.Indexers())
	for _, job := range jobs {
		build.WithObjects(job.DeepCopy())
		if err := indexer.Add(&metav1.PartialObjectMetadata{ObjectMeta: job.ObjectMeta}); err != nil {
			t.Fatal(err)
		}
	}
	return &Base{
		Executor: Executor{Client: build.Build(), Clock: clock.RealClock{}, Writes: seen.New(map[string]seen.Cache{KindRevision: stale{}, KindJob: stale{}})},
		jobs:     index.Over[*metav1.PartialObjectMetadata](indexer),
	}
}

func jobsOf(t *testing.T, b *Base) (names []string) {
	t.Helper()
	list := &v1beta1.ImagePullJobList{}
	if err := b.Client.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names
}

// A webhook or a quota that refuses a job refuses it at every event of a rollout.
func TestAJobThatIsRefusedIsNotAskedForAtEveryEvent(t *testing.T) {
	asked := 0
	b := puller(t, interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			asked++
			return errors.New("refused")
		},
	})
	now := clocktesting.NewFakePassiveClock(time.Unix(1_000_000, 0))
	b.Clock = now
	ask := func() []loop.Event {
		events, err := b.PullAhead(t.Context(), web, "web", revisionOf("web-2", 2), workload.Pulls{Create: []*v1beta1.ImagePullJob{jobOf("web-2-main")}})
		if err != nil {
			t.Fatal(err)
		}
		return events
	}
	if events := ask(); len(events) != 1 || asked != 1 {
		t.Fatalf("asked %d times, with %d events", asked, len(events))
	}
	if events := ask(); len(events) > 0 || asked != 1 {
		t.Errorf("asked %d times, with %d more events, before a pause", asked, len(events))
	}
	now.SetTime(now.Now().Add(refusalPause))
	if events := ask(); len(events) != 1 || asked != 2 {
		t.Errorf("asked %d times, with %d events, after a pause", asked, len(events))
	}
}

func TestJobsThatPullAheadAreMadeOnceAndGoWithTheRollout(t *testing.T) {
	refuse := interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.CreateOption) error {
			if obj.GetName() == "web-2-refused" {
				return errors.New("refused")
			}
			return c.Create(ctx, obj, o...)
		},
	}
	for name, c := range map[string]struct {
		exist []*v1beta1.ImagePullJob
		pulls workload.Pulls
		jobs  []string
		mark  string
		told  []string
	}{
		"nothing is to be done": {},
		"a job is made": {
			pulls: workload.Pulls{Create: []*v1beta1.ImagePullJob{jobOf("web-2-main")}},
			jobs:  []string{"web-2-main"}, mark: v1beta1.ImagePreDownloadCreatedKey, told: []string{"CreatedImagePullJob"},
		},
		"a job was made and its answer lost": {
			exist: []*v1beta1.ImagePullJob{jobOf("web-2-main")}, pulls: workload.Pulls{Create: []*v1beta1.ImagePullJob{jobOf("web-2-main")}},
			jobs: []string{"web-2-main"}, mark: v1beta1.ImagePreDownloadCreatedKey,
		},
		"a job is refused, and tried again": {
			pulls: workload.Pulls{Create: []*v1beta1.ImagePullJob{jobOf("web-2-refused"), jobOf("web-2-side")}}, told: []string{"FailedCreateImagePullJob"},
		},
		"pulling ahead is of no use": {pulls: workload.Pulls{Ignore: true}, mark: v1beta1.ImagePreDownloadIgnoredKey},
		"the rollout is complete":    {exist: []*v1beta1.ImagePullJob{jobOf("web-2-main")}, pulls: workload.Pulls{Done: true}},
	} {
		t.Run(name, func(t *testing.T) {
			b := puller(t, refuse, c.exist...)
			events, err := b.PullAhead(t.Context(), web, "web", revisionOf("web-2", 2), c.pulls)
			if err != nil {
				t.Fatal(err)
			}
			var told []string
			for _, e := range events {
				if told = append(told, e.Reason); e.Warning {
					t.Errorf("%s is a warning, though the rollout goes on without", e.Reason)
				}
			}
			if jobs := jobsOf(t, b); !slices.Equal(jobs, c.jobs) || !slices.Equal(told, c.told) {
				t.Errorf("jobs %q, events %q; want %q and %q", jobs, told, c.jobs, c.told)
			}
			for _, key := range []string{v1beta1.ImagePreDownloadCreatedKey, v1beta1.ImagePreDownloadIgnoredKey} {
				if marked := stored(t, b, "web-2").Labels[key] == "true"; marked != (key == c.mark) {
					t.Errorf("the revision has the label %s: %v", key, marked)
				}
			}
		})
	}
}
