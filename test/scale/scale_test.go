package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/podset"
	planned "kruise.io/kruise/plan/workload"
)

const controllerAgent = `kube-controller-manager/v1 (linux/amd64) kubernetes/x/system:serviceaccount:kube-system:replicaset-controller`

func TestRequestsAreCountedOnceByWhoMakesThemAndWhatTheyDo(t *testing.T) {
	lines := strings.Join([]string{
		`{"stage":"ResponseComplete","verb":"patch","userAgent":"kruise-manager/v1","objectRef":{"resource":"pods","subresource":"status"},"responseStatus":{"code":200}}`,
		`{"stage":"ResponseComplete","verb":"patch","userAgent":"kruise-manager/v1","objectRef":{"resource":"pods","subresource":"status"},"responseStatus":{"code":409}}`,
		`{"stage":"ResponseComplete","verb":"create","userAgent":"` + controllerAgent + `","objectRef":{"resource":"pods"},"responseStatus":{"code":403}}`,
		`{"stage":"ResponseStarted","verb":"watch","userAgent":"kwok/v1","objectRef":{"resource":"pods"},"responseStatus":{"code":200}}`,
		`{"stage":"ResponseComplete","verb":"watch","userAgent":"kwok/v1","objectRef":{"resource":"pods"},"responseStatus":{"code":200}}`,
		`{"stage":"ResponseComplete","verb":"get","userAgent":"kubelet","requestURI":"/readyz","responseStatus":{"code":200}}`,
		`{"stage":"ResponseComplete","verb":"pat`,
	}, "\n")
	file := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	log := auditLog{path: file}
	got, err := log.next()
	if err != nil {
		t.Fatal(err)
	}
	want := tally{
		{"kruise-manager", "patch", "pods/status"}:  {all: 2, conflicts: 1},
		{"replicaset-controller", "create", "pods"}: {all: 1, failed: 1},
		{"kwok", "watch", "pods"}:                   {all: 1},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(outcome{}, request{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := want.sum(request.write); got != (outcome{all: 3, conflicts: 1, failed: 1}) {
		t.Errorf("writes: %+v", got)
	}

	rest := `ch","userAgent":"kwok/v1","objectRef":{"resource":"pods"},"responseStatus":{"code":200}}` + "\n"
	if err := os.WriteFile(file, []byte(lines+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err = log.next(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tally{{"kwok", "patch", "pods"}: {all: 1}}, got, cmp.AllowUnexported(outcome{}, request{})); diff != "" {
		t.Errorf("a line that was not complete (-want +got):\n%s", diff)
	}
}

func TestALogWhoseEndWasPutAsideIsNotCounted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(file, []byte(`{"stage":"ResponseComplete"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	log := auditLog{path: file}
	if err := log.skip(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := log.next(); err == nil {
		t.Errorf("it counts %v, and nobody learns that requests are missing", got)
	}
}

func TestThePodsOfTheBareLoopAreThoseOfACloneSet(t *testing.T) {
	set := newCloneSet("bare", 1).object.(*v1beta1.CloneSet)
	view, err := planned.NewCloneSet(set, planned.Owned{}, planned.Options{})
	if err != nil {
		t.Fatal(err)
	}
	first := view.NewRevision()
	if view, err = planned.NewCloneSet(set, planned.Owned{Revisions: []*appsv1.ControllerRevision{first}}, planned.Options{}); err != nil {
		t.Fatal(err)
	}
	want, _, err := view.NewPod(podset.Step{Do: podset.Create, To: first.Name})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Spec, newBarePod("bare-0").Spec); diff != "" {
		t.Errorf("they are others (-CloneSet +bare loop):\n%s", diff)
	}
}

func TestProcessorTimeIsUserAndSystemTimeWhateverTheProgramIsCalled(t *testing.T) {
	got, err := parseCPU("42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 7 7 20 0 9 0 1000 0 0")
	if err != nil || got != 2*time.Second {
		t.Errorf("got %s and %v, want 2s", got, err)
	}
	if _, err := parseCPU("42 (short) S 1"); err == nil {
		t.Error("a line with too few fields is taken")
	}
}

func TestASpreadIsTheSmallestTheMiddleAndTheLargest(t *testing.T) {
	for name, c := range map[string]struct {
		values []float64
		want   string
	}{
		"an odd number of runs":        {[]float64{3, 1, 2}, "1.0 / **2.0** / 3.0"},
		"an even number of runs":       {[]float64{4, 1, 2, 3}, "1.0 / **2.5** / 4.0"},
		"runs that are equal in print": {[]float64{1.01, 1.02}, "1.0"},
		"no run":                       {nil, "0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := spreadOf(c.values).in("%.1f"); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestResultsReplaceWhatStandsBetweenTheMarksAndNothingElse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	begin := fmt.Sprintf(beginMark, "cloneset, bare")
	others := fmt.Sprintf(beginMark, "daemonset") + "\nof others\n" + endMark + "\n"
	page := "# Title\n\n" + others + begin + "\nold\n" + endMark + "\n\nThe end.\n"
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := insert(file, "cloneset, bare", "new"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := "# Title\n\n" + others + begin + "\n\nnew\n\n" + endMark + "\n\nThe end.\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := insert(file, "statefulset", "new"); err == nil {
		t.Error("a document without marks for what was measured is taken")
	}
}

func TestGoalsAreMetByMediansThatAreNoLarger(t *testing.T) {
	r := newReport(nil, "a machine")
	requests := func(verb string, n int) tally { return tally{{processManager, verb, "pods"}: {all: n}} }
	r.add("CloneSet", phaseCreate, goalPods, figures{
		available: 9 * time.Second, requests: requests("create", 2*goalPods), agents: []string{processManager}, own: 3 * time.Second, peak: 50 << 20,
	})
	r.add("CloneSet", phaseChangeAll, goalPods, figures{
		available: 12 * time.Second, requests: requests("patch", 4*goalPods), agents: []string{processManager}, own: 3 * time.Second, peak: 60 << 20,
	})
	r.add("Deployment", phaseCreate, goalPods, figures{available: 10 * time.Second})
	var out strings.Builder
	r.goals(&out)
	for _, line := range []string{
		"| writes for a pod that is created | at most 2.0 | 2.0 | yes |",
		"| writes for a pod that is updated in place | at most 3.0 | 4.0 | no |",
		"| creating all pods: as long as a Deployment needs, seconds | at most 10.0 | 9.0 | yes |",
		"| updating all pods in place: as long as a Deployment needs to create them, seconds | at most 10.0 | 12.0 | no |",
		"| memory of the manager: a third of OpenKruise's, MiB | at most 59 | 60 | no |",
	} {
		if !strings.Contains(out.String(), line+"\n") {
			t.Errorf("want the line %s in\n%s", line, out.String())
		}
	}
}
