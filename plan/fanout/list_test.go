package fanout

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

func list(names ...string) *v1beta1.ImageListPullJob {
	l := &v1beta1.ImageListPullJob{}
	l.Namespace, l.Name, l.UID = "shop", "base", "uid"
	l.Spec.Images = names
	l.Status.StartTime = &metav1.Time{Time: noon}
	return l
}

func decideList(t *testing.T, l *v1beta1.ImageListPullJob, jobs []*v1beta1.ImagePullJob, seconds int) ListPlan {
	t.Helper()
	plan, err := DecideList(l, jobs, at(seconds))
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// listed has the jobs of a list made.
func listed(t *testing.T, l *v1beta1.ImageListPullJob) []*v1beta1.ImagePullJob {
	t.Helper()
	return decideList(t, l, nil, 0).Create
}

func imagesOf(jobs []*v1beta1.ImagePullJob) string {
	var out []string
	for _, j := range jobs {
		out = append(out, j.Spec.Image)
	}
	return strings.Join(out, " ")
}

func TestAListHasAJobForEachImage(t *testing.T) {
	l := list("nginx", "redis:7")
	ttl := int32(5)
	l.Spec.CompletionPolicy.TTLSecondsAfterFinished = &ttl
	plan := decideList(t, l, nil, 0)
	if got := imagesOf(plan.Create); got != "nginx redis:7" || len(plan.Delete) > 0 {
		t.Fatalf("created are %q, deleted %d", got, len(plan.Delete))
	}
	for _, j := range plan.Create {
		if j.Labels[HashKey] != plan.Hash || plan.Hash == "" || !strings.HasPrefix(j.Name, "base-") || !metav1.IsControlledBy(j, l) || j.Namespace != "shop" {
			t.Errorf("a job is made as %+v", j.ObjectMeta)
		}
		if j.Spec.CompletionPolicy.TTLSecondsAfterFinished != nil {
			t.Error("a job goes before its list does")
		}
	}
	if plan.Create[0].Name == plan.Create[1].Name {
		t.Error("two jobs have one name")
	}
	if again := decideList(t, l, plan.Create, 1); len(again.Create)+len(again.Delete) > 0 {
		t.Errorf("a second plan creates %q and deletes %q", imagesOf(again.Create), imagesOf(again.Delete))
	}
	slices.Reverse(l.Spec.Images)
	if again := decideList(t, l, plan.Create, 1); len(again.Create)+len(again.Delete) > 0 {
		t.Error("the order of the images matters")
	}
}

func TestAnotherTemplateHasAllJobsMadeAnew(t *testing.T) {
	l := list("nginx", "redis")
	jobs := listed(t, l)
	l.Spec.PullSecrets = []string{"registry"}
	plan := decideList(t, l, jobs, 1)
	if got, old := imagesOf(plan.Create), imagesOf(plan.Delete); len(plan.Create) != 2 || len(plan.Delete) != 2 {
		t.Fatalf("created are %q, deleted %q", got, old)
	}
	for _, j := range plan.Create {
		if slices.ContainsFunc(jobs, func(old *v1beta1.ImagePullJob) bool { return old.Name == j.Name }) {
			t.Error("a new job has the name of an old one, which may not be gone yet")
		}
	}
}

func TestAnImageThatIsTakenOffTheListTakesItsJobWithIt(t *testing.T) {
	l := list("nginx", "redis")
	jobs := listed(t, l)
	l.Spec.Images = []string{"redis", "etcd"}
	plan := decideList(t, l, jobs, 1)
	if imagesOf(plan.Create) != "etcd" || imagesOf(plan.Delete) != "nginx" {
		t.Errorf("created are %q, deleted %q", imagesOf(plan.Create), imagesOf(plan.Delete))
	}
}

func TestWhatAListSaysOfItsJobs(t *testing.T) {
	status := func(desired, active, succeeded, failed int32) v1beta1.ImagePullJobStatus {
		s := v1beta1.ImagePullJobStatus{Desired: desired, Active: active, Succeeded: succeeded, Failed: failed}
		if desired == succeeded+failed && desired > 0 {
			s.CompletionTime = &metav1.Time{Time: noon}
		}
		return s
	}
	for name, c := range map[string]struct {
		never bool
		jobs  []v1beta1.ImagePullJobStatus
		want  string // desired, active, completed, succeeded, failed images, and whether it is over
	}{
		"nothing is known yet":       {false, []v1beta1.ImagePullJobStatus{{}, {}}, "2/0/0/0 0 false"},
		"one pulls":                  {false, []v1beta1.ImagePullJobStatus{status(3, 1, 2, 0), {}}, "2/1/0/0 0 false"},
		"one is through":             {false, []v1beta1.ImagePullJobStatus{status(3, 0, 3, 0), status(3, 2, 1, 0)}, "2/1/1/1 0 false"},
		"one failed somewhere":       {false, []v1beta1.ImagePullJobStatus{status(3, 0, 2, 1), status(3, 2, 1, 0)}, "2/1/1/0 1 false"},
		"all are through":            {false, []v1beta1.ImagePullJobStatus{status(3, 0, 2, 1), status(3, 0, 3, 0)}, "2/0/2/1 1 true"},
		"all are through, and Never": {true, []v1beta1.ImagePullJobStatus{status(3, 0, 2, 1), status(3, 0, 3, 0)}, "2/0/2/1 1 false"},
	} {
		t.Run(name, func(t *testing.T) {
			l := list("nginx", "redis")
			if c.never {
				l.Spec.CompletionPolicy.Type = v1beta1.NeverCompletion
			}
			jobs := listed(t, l)
			for i := range jobs {
				jobs[i].Status = c.jobs[i]
			}
			s := decideList(t, l, jobs, 9).Status
			got := fmt.Sprintf("%d/%d/%d/%d %d %t", s.Desired, s.Active, s.Completed, s.Succeeded, len(s.FailedImageStatuses), s.CompletionTime != nil)
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			for _, f := range s.FailedImageStatuses {
				if f.Name != "nginx" || f.ImagePullJob != jobs[0].Name || !strings.HasPrefix(f.Message, "1 of 3 nodes failed") {
					t.Errorf("it says %+v", f)
				}
			}
		})
	}
}

func TestAListThatIsOverIsLeftAloneUntilItsTimeIsOver(t *testing.T) {
	l := list("nginx")
	ttl := int32(60)
	l.Spec.CompletionPolicy.TTLSecondsAfterFinished = &ttl
	l.Status.CompletionTime = &metav1.Time{Time: noon}
	plan := decideList(t, l, nil, 59)
	if len(plan.Create) > 0 || plan.Expired || !plan.Wake.Equal(at(60)) {
		t.Errorf("a second before: %+v", plan)
	}
	if !decideList(t, l, nil, 60).Expired {
		t.Error("it is kept longer")
	}
}
