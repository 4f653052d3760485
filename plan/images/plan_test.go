package images

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// scene is a node, and jobs by their UID.
type scene struct {
	image *v1beta1.NodeImage
	jobs  map[types.UID]Job
	wants []types.UID
}

// job is a job of an image, created so many seconds after noon.
func job(uid types.UID, image string, created int, change ...func(*v1beta1.ImagePullJob)) Job {
	j := &v1beta1.ImagePullJob{}
	j.Namespace, j.Name, j.UID = "shop", string(uid), uid
	j.CreationTimestamp = metav1.NewTime(noon.Add(time.Duration(created) * time.Second))
	j.Spec.Image = image
	for _, c := range change {
		c(j)
	}
	out, err := JobOf(j, DefaultKeep, nil)
	if err != nil {
		panic(err)
	}
	return out
}

func ask(j *v1beta1.ImagePullJob)   { j.Spec.ImagePullPolicy = v1beta1.PullAlways }
func never(j *v1beta1.ImagePullJob) { j.Spec.CompletionPolicy.Type = v1beta1.NeverCompletion }
func ended(j *v1beta1.ImagePullJob) { j.Status.CompletionTime = &metav1.Time{Time: noon} }
func timeout(seconds int32) func(*v1beta1.ImagePullJob) {
	return func(j *v1beta1.ImagePullJob) {
		j.Spec.PullPolicy = &v1beta1.PullPolicy{TimeoutSeconds: &seconds, BackoffLimit: ptr.To[int32](1)}
	}
}
func deadline(seconds int64) func(*v1beta1.ImagePullJob) {
	return func(j *v1beta1.ImagePullJob) { j.Spec.CompletionPolicy.ActiveDeadlineSeconds = &seconds }
}

func newScene(jobs ...Job) *scene {
	s := &scene{image: &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}, jobs: map[types.UID]Job{}}
	for _, j := range jobs {
		s.jobs[j.UID] = j
	}
	return s
}

func (s *scene) want(uids ...types.UID) *scene {
	s.wants = append(s.wants, uids...)
	return s
}

// decide makes a plan so many seconds after noon and carries it out.
func (s *scene) decide(seconds int) Plan {
	plan := Decide(Node{
		Image: s.image.DeepCopy(), Wants: slices.Clone(s.wants),
		Jobs: func(uid types.UID) (Job, bool) { j, ok := s.jobs[uid]; return j, ok },
	}, noon.Add(time.Duration(seconds)*time.Second))
	for name, spec := range plan.Images {
		if s.image.Spec.Images == nil {
			s.image.Spec.Images = map[string]v1beta1.ImageSpec{}
		}
		if spec == nil {
			delete(s.image.Spec.Images, name)
			continue
		}
		s.image.Spec.Images[name] = *spec
	}
	if plan.Status != nil {
		s.image.Status = *plan.Status
	}
	s.wants = slices.DeleteFunc(s.wants, func(uid types.UID) bool { return slices.Contains(plan.Served, uid) })
	return plan
}

// says has the node report on a tag, at its present version.
func (s *scene) says(image string, phase v1beta1.ImagePullPhase, seconds int) *scene {
	ref, err := Parse(image)
	if err != nil {
		panic(err)
	}
	at := &metav1.Time{Time: noon.Add(time.Duration(seconds) * time.Second)}
	status := v1beta1.ImageTagStatus{Tag: ref.Tag, Phase: phase, StartTime: at}
	if task := taskOf(s.image.Spec.Images[ref.Name].Tags, ref.Tag); task != nil {
		status.Version = task.Version
	}
	if phase == v1beta1.ImagePhaseSucceeded || phase == v1beta1.ImagePhaseFailed {
		status.CompletionTime = at
	}
	SetStatus(&s.image.Status, ref.Name, status)
	return s
}

// tells is the NodeImage in one line for each task.
func (s *scene) tells() string {
	var lines []string
	for name, spec := range s.image.Spec.Images {
		for i := range spec.Tags {
			task := &spec.Tags[i]
			var owners []string
			for _, o := range task.OwnerReferences {
				owners = append(owners, o.Name)
			}
			state := map[State]string{Active: "active", Succeeded: "succeeded", Failed: "failed"}[stateOf(task, statusOf(s.image, Ref{name, task.Tag}))]
			lines = append(lines, fmt.Sprintf("%s v%d [%s] %s", Ref{name, task.Tag}, task.Version, strings.Join(owners, " "), state))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

func TestHowJobsShareTheTasksOfANode(t *testing.T) {
	for name, c := range map[string]struct {
		scene *scene
		at    int
		want  string
	}{
		"a job begins": {newScene(job("a", "nginx", 0)).want("a"), 0, "nginx:latest v0 [a] active"},
		"two jobs of one image begin together, with one pull": {
			newScene(job("a", "nginx", 0), job("b", "docker.io/library/nginx:latest", 1)).want("b", "a"), 0, "nginx:latest v0 [a b] active"},
		"two tags of one image are two tasks": {
			newScene(job("a", "nginx:1", 0), job("b", "nginx:2", 1)).want("a", "b"), 0, "nginx:1 v0 [a] active; nginx:2 v0 [b] active"},
		"a job that comes during a pull waits for it": {
			begun(newScene(job("a", "nginx", 0), job("b", "nginx", 5))).want("b"), 6, "nginx:latest v0 [a b] active"},
		"a job that has the registry asked does not share a pull that began before it": {
			begun(newScene(job("a", "nginx", 0), job("b", "nginx", 5, ask))).want("b"), 6, "nginx:latest v0 [a] active"},
		"it begins another round once that pull is through": {
			begun(newScene(job("a", "nginx", 0), job("b", "nginx", 5, ask))).want("b").says("nginx", "Succeeded", 6), 7, "nginx:latest v1 [a b] active"},
		"a job that comes after a pull has the node look again": {
			begun(newScene(job("a", "nginx", 0), job("b", "nginx", 9))).says("nginx", "Failed", 6).want("b"), 9, "nginx:latest v1 [a b] active"},
		"jobs that are through are left out of another round": {
			through(newScene(job("a", "nginx", 0), job("b", "nginx", 9))).want("b"), 9, "nginx:latest v1 [b] active"},
		"a tag that a node reported on before begins with the next version": {
			newScene(job("a", "nginx", 0)).says("nginx", "Succeeded", -100).want("a"), 0, "nginx:latest v1 [a] active"},
		"a task goes with the last job that wants it": {gone(begun(newScene(job("a", "nginx", 0)))), 5, ""},
		"a task stays for the jobs that are left": {
			gone(begun(newScene(job("a", "nginx", 0), job("b", "nginx", 0)).want("b"))), 5, "nginx:latest v0 [b] active"},
		"a job that ended at its deadline stops its pulls": {past(begun(newScene(job("a", "nginx", 0)))), 5, ""},
		"what a job pulled can be seen for a while":        {through(newScene(job("a", "nginx", 0))), 300, "nginx:latest v0 [a] succeeded"},
		"and is removed then":                              {through(newScene(job("a", "nginx", 0))), 600*3 + 300 + 300 + 2, ""},
		"while a job waits for other nodes its task stays": {begun(newScene(job("a", "nginx", 0))).says("nginx", "Succeeded", 1), 99999, "nginx:latest v0 [a] succeeded"},
		"a job that never ends is pulled anew after a day": {begun(newScene(job("a", "nginx", 0, never))).says("nginx", "Succeeded", 1), 24*3600 + 601, ""},
		"but not before": {begun(newScene(job("a", "nginx", 0, never))).says("nginx", "Succeeded", 1), 24*3600 - 601, "nginx:latest v0 [a] succeeded"},
		"a job whose image changes leaves the one it had":     {other(begun(newScene(job("a", "nginx", 0)))).want("a"), 5, "redis:7 v0 [a] active"},
		"a task of nobody's is left alone":                    {foreign(newScene()), 5, "nginx:latest v3 [] active"},
		"a job that ended is not begun":                       {newScene(job("a", "nginx", 0, ended)).want("a"), 0, ""},
		"a job that does not exist is not begun":              {newScene().want("a"), 0, ""},
		"a task of nobody's is removed after its time":        {foreign(newScene()).says("nginx", "Failed", 5), 5 + 60, ""},
		"what another manager called an owner is not obeyed":  {reborn(begun(newScene(job("a", "nginx", 0)))), 5, ""},
		"a node without room for names takes no further ones": {crowded(newScene(job("a", "nginx", 0))).want("a"), 5, "256 names"},
	} {
		t.Run(name, func(t *testing.T) {
			c.scene.decide(c.at)
			got := c.scene.tells()
			if n := len(c.scene.image.Spec.Images); n > 9 {
				got = fmt.Sprintf("%d names", n)
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			served := len(c.scene.wants) == 0
			if again := c.scene.decide(c.at); len(again.Images) > 0 || served && len(again.Served) > 0 {
				t.Errorf("a second plan changes %v", again.Images)
			}
		})
	}
}

// begun has job a begin at noon.
func begun(s *scene) *scene {
	s.wants = append(s.wants, "a")
	s.decide(0)
	s.decide(0)
	return s
}

// through has job a begin and end.
func through(s *scene) *scene {
	begun(s).says("nginx", v1beta1.ImagePhaseSucceeded, 1)
	return past(s)
}

func past(s *scene) *scene {
	a := s.jobs["a"]
	a.Ended = true
	s.jobs["a"] = a
	return s
}

func gone(s *scene) *scene {
	delete(s.jobs, "a")
	return s
}

func reborn(s *scene) *scene {
	s.image.Spec.Images["nginx"].Tags[0].OwnerReferences[0].UID = "before"
	return s
}

func other(s *scene) *scene {
	a := s.jobs["a"]
	a.Ref = Ref{"redis", "7"}
	s.jobs["a"] = a
	return s
}

func foreign(s *scene) *scene {
	s.image.Spec.Images = map[string]v1beta1.ImageSpec{"nginx": {Tags: []v1beta1.ImageTagSpec{{
		Tag: "latest", Version: 3, PullPolicy: &v1beta1.ImageTagPullPolicy{TTLSecondsAfterFinished: ptr.To[int32](60)}}}}}
	return s
}

func crowded(s *scene) *scene {
	foreign(s)
	for i := range mostImages - 1 {
		s.image.Spec.Images[fmt.Sprintf("image-%d", i)] = v1beta1.ImageSpec{Tags: []v1beta1.ImageTagSpec{{Tag: "1"}}}
	}
	return s
}

func TestWhatIsSaidOfARunningJobIsToldItsNodes(t *testing.T) {
	s := begun(newScene(job("a", "nginx", 0, timeout(60))))
	policy := func() v1beta1.ImageTagPullPolicy { return *s.image.Spec.Images["nginx"].Tags[0].PullPolicy }
	if got := *policy().TimeoutSeconds; got != 60 {
		t.Fatalf("the timeout is %d at first", got)
	}
	s.jobs["a"] = job("a", "nginx", 0, timeout(1200), ask, deadline(3600))
	s.decide(5)
	if got := policy(); *got.TimeoutSeconds != 1200 || *got.ActiveDeadlineSeconds != 3600 {
		t.Errorf("after the change the timeout is %d, the deadline %v", *got.TimeoutSeconds, got.ActiveDeadlineSeconds)
	}
	if task := s.image.Spec.Images["nginx"].Tags[0]; task.ImagePullPolicy != v1beta1.PullAlways || task.Version != 0 {
		t.Errorf("the pull policy is %s, the version %d", task.ImagePullPolicy, task.Version)
	}
	s.jobs["b"] = job("b", "nginx", 6, timeout(30))
	s.want("b").decide(6)
	if got := policy(); *got.TimeoutSeconds != 1200 || got.ActiveDeadlineSeconds != nil {
		t.Errorf("the more patient of two jobs does not decide: the timeout is %d, the deadline %v", *got.TimeoutSeconds, got.ActiveDeadlineSeconds)
	}
}

func TestAllJobsOfAnImageLendTheirSecretsAndTheNewestSaysWhatTheRuntimeIsTold(t *testing.T) {
	a, b := job("a", "nginx:1", 0), job("b", "nginx:2", 1)
	secret := func(name string) v1beta1.ReferenceObject {
		return v1beta1.ReferenceObject{Namespace: "kruise-daemon-config", Name: name, Mode: v1beta1.BatchMode}
	}
	a.Secrets, b.Secrets = []v1beta1.ReferenceObject{secret("x"), secret("y")}, []v1beta1.ReferenceObject{secret("y"), secret("a")}
	a.Sandbox, b.Sandbox = &v1beta1.SandboxConfig{Labels: map[string]string{"app": "a"}}, &v1beta1.SandboxConfig{Labels: map[string]string{"app": "b"}}
	s := newScene(a, b).want("a", "b")
	s.decide(0)
	image := s.image.Spec.Images["nginx"]
	if diff := cmp.Diff([]v1beta1.ReferenceObject{secret("a"), secret("x"), secret("y")}, image.PullSecrets); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if image.SandboxConfig.Labels["app"] != "b" {
		t.Errorf("the runtime is told %v", image.SandboxConfig)
	}
}

func TestANodeThatDoesNotEndATaskIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		scene *scene
		at    int
		want  string // the message, or empty while there is patience
	}{
		"it said nothing for less than ten minutes":         {begun(newScene(job("a", "nginx", 0))), 599, ""},
		"it said nothing for ten minutes":                   {begun(newScene(job("a", "nginx", 0))), 600, messageSilent},
		"it began and has time for all attempts":            {begun(newScene(job("a", "nginx", 0, timeout(60)))).says("nginx", "Pulling", 5), 5 + 2*90 + 599, ""},
		"it began and should have ended ten minutes ago":    {begun(newScene(job("a", "nginx", 0, timeout(60)))).says("nginx", "Pulling", 5), 5 + 2*90 + 600, messageSilent},
		"the deadline is over, ten minutes ago":             {begun(newScene(job("a", "nginx", 0, deadline(700)))).says("nginx", "Pulling", 5), 1300, messageDeadline},
		"the deadline is over, but the node may still tell": {begun(newScene(job("a", "nginx", 0, deadline(700)))).says("nginx", "Pulling", 5), 1299, ""},
		"it lets a task wait and does nothing else":         {begun(newScene(job("a", "nginx", 0))).says("nginx", "Waiting", 5), 605, messageSilent},
		"it lets a task wait while it pulls another": {
			begun(newScene(job("a", "nginx", 0), job("b", "redis", 0)).want("b")).says("nginx", "Waiting", 5).says("redis", "Pulling", 5), 2000, ""},
		"it is through": {begun(newScene(job("a", "nginx", 0))).says("nginx", "Succeeded", 5), 9999, ""},
	} {
		t.Run(name, func(t *testing.T) {
			plan := c.scene.decide(c.at)
			var got string
			if len(plan.Failures) > 0 {
				got = plan.Failures[0].Message
			}
			if got != c.want {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			if c.want == "" {
				if plan.Status != nil {
					t.Error("the status changes")
				}
				return
			}
			if status := statusOf(c.scene.image, Ref{"nginx", "latest"}); status.Phase != v1beta1.ImagePhaseFailed || status.Message != c.want || status.CompletionTime == nil {
				t.Errorf("the status is %+v", status)
			}
			if s := c.scene.image.Status; s.Failed != 1 || s.Desired != int32(len(c.scene.image.Spec.Images)) {
				t.Errorf("the counts are %+v", s)
			}
			if owners := plan.Failures[0].Owners; len(owners) != 1 || owners[0].Name != "a" || owners[0].Kind != "ImagePullJob" {
				t.Errorf("told are %v", owners)
			}
			if again := c.scene.decide(c.at); len(again.Failures) > 0 || !slices.Equal(again.Outcomes, []Outcome{{"a", Ref{"nginx", "latest"}, Failed}}) {
				t.Errorf("a second plan: %+v", again)
			}
		})
	}
}

func TestANodeIsLookedAtWhenItsTimeIsOver(t *testing.T) {
	s := begun(newScene(job("a", "nginx", 0)))
	if got := s.decide(1).Wake; !got.Equal(noon.Add(Silence)) {
		t.Errorf("a silent node is looked at %s", got)
	}
	s = through(newScene(job("a", "nginx", 0)))
	wake := s.decide(2).Wake
	if seconds := int(wake.Sub(noon).Seconds()); seconds < 1+600*3+300 || seconds > 1+600*3+600 {
		t.Errorf("a task that ended is removed after %d seconds", seconds)
	}
	s.decide(int(wake.Sub(noon).Seconds()))
	if got := s.tells(); got != "" {
		t.Errorf("when the node is looked at then, there is left: %s", got)
	}
}

func TestATaskWithoutABeginningBeginsWhenItIsSeen(t *testing.T) {
	s := foreign(newScene())
	s.decide(7)
	if got := s.image.Spec.Images["nginx"].Tags[0].CreatedAt; got == nil || !got.Time.Equal(noon.Add(7*time.Second)) {
		t.Errorf("it began %v", got)
	}
}

func TestTasksThatEndTogetherAreRemovedTogether(t *testing.T) {
	s := begun(newScene(job("a", "nginx", 0), job("b", "redis", 0)).want("b"))
	s.says("nginx", "Succeeded", 1).says("redis", "Succeeded", 40)
	for uid, j := range s.jobs {
		j.Ended = true
		s.jobs[uid] = j
	}
	wake := s.decide(50).Wake
	s.decide(int(wake.Sub(noon).Seconds()))
	if got := s.tells(); got != "" {
		t.Errorf("one write leaves %s", got)
	}
}

func TestTheJobsOfANodeAreListedOnce(t *testing.T) {
	image := begun(newScene(job("a", "nginx", 0), job("b", "nginx:1", 0)).want("b")).image
	spec := image.Spec.Images["nginx"]
	spec.Tags = append(spec.Tags, v1beta1.ImageTagSpec{Tag: "2", OwnerReferences: []corev1.ObjectReference{{UID: "a"}}})
	image.Spec.Images["nginx"] = spec
	if got := Jobs(image); !slices.Equal(got, []types.UID{"a", "b"}) {
		t.Errorf("got %v", got)
	}
}
