package manager

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/serve"
)

// served is what an API server serves of our kinds from one time after the beginning to the next.
type served struct {
	kinds string
	lasts time.Duration
}

// awaits starts to wait for CloneSets, DaemonSets and SidecarSets of an API server, and returns when that ended and how.
func awaits(t *testing.T, c client.Client, story ...served) (after time.Duration, err error) {
	t.Helper()
	begin := time.Now()
	a := &awaited{client: c, namespace: "kruise-system", resources: func(_ context.Context, version string) (*metav1.APIResourceList, error) {
		now, list := time.Since(begin), &metav1.APIResourceList{}
		for _, s := range story {
			if now -= s.lasts; now > 0 {
				continue
			}
			if s.kinds == "" || version != v1beta1.GroupVersion.String() {
				return nil, errors.New("the server could not find the requested resource")
			}
			for _, kind := range strings.Fields(s.kinds) {
				list.APIResources = append(list.APIResources, metav1.APIResource{Kind: kind})
			}
			break
		}
		return list, nil
	}}
	for _, kind := range []string{"CloneSet", "DaemonSet", "SidecarSet"} {
		a.kinds = append(a.kinds, v1beta1.GroupVersion.WithKind(kind))
	}
	a.kinds = append(a.kinds, schema.GroupVersionKind{Group: "example.org", Version: "v1", Kind: "Never"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	err = a.Start(ctx)
	return time.Since(begin), err
}

func TestAManagerStartsAnewOnceForKindsThatComeOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme, err := NewScheme()
		if err != nil {
			t.Fatal(err)
		}
		c := fake.NewClientBuilder().WithScheme(scheme).Build()
		after, err := awaits(t, c,
			served{"", time.Minute}, served{"SidecarSet", awaitPause / 2}, served{"DaemonSet SidecarSet", time.Hour})
		if !errors.Is(err, serve.ErrStartAnew) || !strings.HasPrefix(err.Error(), "the API server serves DaemonSet, SidecarSet,") {
			t.Errorf("it ends with %v", err)
		}
		if after < time.Minute+awaitPause || after > time.Minute+5*awaitPause {
			t.Errorf("it ends after %s", after)
		}
		events := &eventsv1.EventList{}
		if err := c.List(t.Context(), events, client.InNamespace("kruise-system")); err != nil {
			t.Fatal(err)
		}
		if len(events.Items) != 1 || events.Items[0].Reason != reasonKindServed || !strings.Contains(events.Items[0].Note, "DaemonSet, SidecarSet") {
			t.Errorf("the events are %+v", events.Items)
		}
	})
}

func TestAManagerRunsOnWhileNothingComesThatStays(t *testing.T) {
	for name, story := range map[string][]served{
		"no kind comes":    {{"", 2 * time.Hour}},
		"other kinds come": {{"StatefulSet", 2 * time.Hour}},
		"a kind comes and goes, and the server, too": {{"", time.Minute}, {"CloneSet", awaitPause / 2}, {"", 2 * time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if after, err := awaits(t, nil, story...); err != nil || after < time.Hour {
					t.Errorf("it ended after %s with %v", after, err)
				}
			})
		})
	}
}
