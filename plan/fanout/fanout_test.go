package fanout

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/images"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

// job is a job that was created and began at noon.
func job(parallelism int32, change ...func(*v1beta1.ImagePullJob)) *v1beta1.ImagePullJob {
	j := &v1beta1.ImagePullJob{}
	j.Name, j.CreationTimestamp = "nginx", metav1.NewTime(noon)
	j.Spec.Image, j.Spec.Parallelism = "nginx", ptr.To(intstr.FromInt32(parallelism))
	j.Status.StartTime = &metav1.Time{Time: noon}
	for _, c := range change {
		c(j)
	}
	return j
}

func never(j *v1beta1.ImagePullJob) { j.Spec.CompletionPolicy.Type = v1beta1.NeverCompletion }
func ttl(j *v1beta1.ImagePullJob) {
	j.Spec.CompletionPolicy.TTLSecondsAfterFinished = ptr.To[int32](60)
}
func deadline(j *v1beta1.ImagePullJob) {
	j.Spec.CompletionPolicy.ActiveDeadlineSeconds = ptr.To[int64](600)
}
func unset(j *v1beta1.ImagePullJob) { j.Spec.Parallelism = nil }
func completed(j *v1beta1.ImagePullJob) {
	j.Status.CompletionTime, j.Status.Message, j.Status.Desired = &metav1.Time{Time: noon}, messageCompleted, 7
}

// nodes makes nodes of letters: i is idle, a active, s succeeded, f failed.
func nodes(states string) []Node {
	var all []Node
	for i, letter := range states {
		state := map[rune]images.State{'i': images.Idle, 'a': images.Active, 's': images.Succeeded, 'f': images.Failed}[letter]
		all = append(all, Node{Name: fmt.Sprintf("n%d", i), State: state})
	}
	return all
}

// tells is a plan in one line.
func tells(p Plan) string {
	s := p.Status
	line := fmt.Sprintf("begin [%s] %d/%d/%d/%d %s", strings.Join(p.Begin, " "), s.Desired, s.Active, s.Succeeded, s.Failed, s.Message)
	if len(s.FailedNodes) > 0 {
		line += " [" + strings.Join(s.FailedNodes, " ") + "]"
	}
	if s.CompletionTime != nil {
		line += fmt.Sprintf(" over at %d", int(s.CompletionTime.Sub(noon).Seconds()))
	}
	if p.Expired {
		line += " expired"
	}
	if !p.Wake.IsZero() {
		line += fmt.Sprintf(" wake %d", int(p.Wake.Sub(noon).Seconds()))
	}
	return line
}

func TestWhatBecomesOfAJob(t *testing.T) {
	for name, c := range map[string]struct {
		job   *v1beta1.ImagePullJob
		nodes string
		hold  string
		at    int
		want  string
	}{
		"nodes begin up to the parallelism":           {job(2), "iiii", "", 0, "begin [n0 n1] 4/2/0/0 job is running, progress 0%"},
		"one after the other if nothing is said":      {job(9, unset), "iii", "", 0, "begin [n0] 3/1/0/0 job is running, progress 0%"},
		"active nodes count":                          {job(2), "aiis", "", 0, "begin [n1] 4/2/1/0 job is running, progress 25%"},
		"nodes that are through make room":            {job(2), "sfii", "", 5, "begin [n2 n3] 4/2/1/1 job is running, progress 50% [n1]"},
		"less parallelism than active nodes":          {job(1), "aai", "", 5, "begin [] 3/2/0/0 job is running, progress 0%"},
		"more parallelism than nodes":                 {job(9), "ii", "", 5, "begin [n0 n1] 2/2/0/0 job is running, progress 0%"},
		"parallelism of 0 pauses":                     {job(0), "iasf", "", 5, "begin [] 4/1/1/1 job is running, progress 50%: parallelism is 0, so no further node begins [n3]"},
		"a hold is told":                              {job(2), "iia", "waiting for secrets", 5, "begin [] 3/1/0/0 job is running, progress 0%: waiting for secrets"},
		"a hold of nothing is not":                    {job(2), "aa", "waiting for secrets", 5, "begin [] 2/2/0/0 job is running, progress 0%"},
		"it is over when all nodes are through":       {job(2), "ssf", "", 5, "begin [] 3/0/2/1 job has completed [n2] over at 5"},
		"it is kept for its time":                     {job(2, ttl), "ss", "", 5, "begin [] 2/0/2/0 job has completed over at 5 wake 65"},
		"a type that is not said is Always":           {job(2), "s", "", 5, "begin [] 1/0/1/0 job has completed over at 5"},
		"Never does not end":                          {job(2, never), "ssf", "", 5, "begin [] 3/0/2/1 job is running, progress 100% [n2]"},
		"Never serves a node that comes later":        {job(2, never), "ssi", "", 5, "begin [n2] 3/1/2/0 job is running, progress 66%"},
		"Never without nodes":                         {job(2, never), "", "", 500, "begin [] 0/0/0/0 job is running, progress 0%: no node is selected"},
		"Always without nodes waits for a minute":     {job(2), "", "", 59, "begin [] 0/0/0/0 job is running, progress 0%: no node is selected wake 60"},
		"and is over then":                            {job(2), "", "", 60, "begin [] 0/0/0/0 job has completed over at 60"},
		"a deadline is awaited":                       {job(2, deadline), "aai", "", 599, "begin [] 3/2/0/0 job is running, progress 0% wake 600"},
		"at the deadline the rest failed":             {job(2, deadline), "saif", "", 600, "begin [] 4/0/1/3 job exceeds activeDeadlineSeconds [n1 n2 n3] over at 600"},
		"a deadline without nodes":                    {job(2, deadline), "", "", 0, "begin [] 0/0/0/0 job is running, progress 0%: no node is selected wake 60"},
		"who is through at the deadline completed":    {job(2, deadline), "sf", "", 600, "begin [] 2/0/1/1 job has completed [n1] over at 600"},
		"what is over stays as it is":                 {job(2, completed), "iii", "", 99, "begin [] 7/0/0/0 job has completed over at 0"},
		"until its time is over":                      {job(2, completed, ttl), "iii", "", 59, "begin [] 7/0/0/0 job has completed over at 0 wake 60"},
		"and then it goes":                            {job(2, completed, ttl), "iii", "", 60, "begin [] 7/0/0/0 job has completed over at 0 expired"},
		"a time of 0 takes it away with the last one": {job(2, func(j *v1beta1.ImagePullJob) { j.Spec.CompletionPolicy.TTLSecondsAfterFinished = ptr.To[int32](0) }), "s", "", 5, "begin [] 1/0/1/0 job has completed over at 5 expired"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tells(Decide(c.job, nodes(c.nodes), c.hold, at(c.at))); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestAJobBeginsWhenItIsFirstSeen(t *testing.T) {
	j := job(1)
	j.Status.StartTime = nil
	if got := Decide(j, nodes("i"), "", at(3)).Status.StartTime; got == nil || !got.Time.Equal(at(3)) {
		t.Errorf("it began %v", got)
	}
}

func TestNodesBeginInTheOrderOfTheirNames(t *testing.T) {
	all := nodes("iii")
	slices.Reverse(all)
	if got := Decide(job(2), all, "", noon).Begin; !slices.Equal(got, []string{"n0", "n1"}) {
		t.Errorf("got %q", got)
	}
}

// Whatever the nodes are, there are never more active ones than the parallelism but by nodes that were active before, the
// order of the list means nothing, and no node that is through begins.
func TestAPlanKeepsItsPromisesForAnyNodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := nodes(rapid.StringMatching("[iasf]{0,12}").Draw(t, "nodes"))
		j := job(rapid.Int32Range(0, 5).Draw(t, "parallelism"))
		if rapid.Bool().Draw(t, "never") {
			never(j)
		}
		before := 0
		state := map[string]images.State{}
		for _, n := range all {
			state[n.Name] = n.State
			if n.State == images.Active {
				before++
			}
		}
		plan := Decide(j, all, "", at(5))
		if active := before + len(plan.Begin); active > max(before, int(j.Spec.Parallelism.IntVal)) {
			t.Fatalf("%d nodes are active", active)
		}
		for _, name := range plan.Begin {
			if state[name] != images.Idle {
				t.Fatalf("%s begins again", name)
			}
		}
		other := rapid.Permutation(all).Draw(t, "another order")
		if diff := cmp.Diff(plan, Decide(j, other, "", at(5))); diff != "" {
			t.Fatalf("another order gives another plan (-first +second):\n%s", diff)
		}
	})
}
