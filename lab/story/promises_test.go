package story_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

func TestAPlanThatBreaksAPromiseIsFoundOut(t *testing.T) {
	old := replica.Replica{Name: "a", Revision: "v1", Phase: replica.Running, Available: true}
	updated, away, leaving, doomed := old, old, old, old
	updated.Revision = "v2"
	away.Revision, away.Available = "v2", false
	leaving.State = lifecycle.PreparingDelete
	doomed.SpecifiedDelete = true
	held, hooked := old, updated
	held.Holds.Delete = true
	hooked.State = lifecycle.Updated
	update := podset.Step{Do: podset.Update, Pod: &old, To: "v2"}
	remove := podset.Step{Do: podset.Delete, Pod: &old}
	create := podset.Step{Do: podset.Create}
	resized, resize := old, podset.Step{Do: podset.Update, Pod: &old, To: "resized"}
	resized.Revision, resized.Stage = "resized", inplace.Running
	for name, test := range map[string]struct {
		pool  podset.Pool
		pod   replica.Replica
		steps []podset.Step
		notes []podset.Note
		want  string
	}{
		"two steps for a pod":                             {podset.Pool{Replicas: 1}, old, []podset.Step{update, remove}, nil, "two steps"},
		"an update although it is paused":                 {podset.Pool{Replicas: 1, Paused: true}, old, []podset.Step{update}, nil, "paused"},
		"a deletion although it is paused":                {podset.Pool{Replicas: 1, Paused: true}, old, []podset.Step{remove}, nil, "paused"},
		"an update on delete":                             {podset.Pool{Replicas: 1, OnDelete: true}, old, []podset.Step{update}, nil, "on delete"},
		"an update to the revision it has":                {podset.Pool{Replicas: 1}, updated, []podset.Step{{Do: podset.Update, Pod: &updated, To: "v2"}}, nil, "that it has"},
		"a pod behind the partition":                      {podset.Pool{Replicas: 1, Rolling: budget.Rolling{Partition: 1}}, old, []podset.Step{update}, nil, "the partition lets 0"},
		"a deletion although its hook holds the pod":      {podset.Pool{Replicas: 0}, held, []podset.Step{{Do: podset.Delete, Pod: &held}}, nil, "no such move"},
		"a pod that waits for no hook":                    {podset.Pool{Replicas: 1}, old, []podset.Step{{Do: podset.Move, Pod: &old, State: lifecycle.PreparingUpdate}}, nil, "no such move"},
		"a pod in service before its hook is complete":    {podset.Pool{Replicas: 1}, hooked, []podset.Step{{Do: podset.Settle, Pod: &hooked, State: lifecycle.Normal}}, nil, "no such move"},
		"a pod too many":                                  {podset.Pool{Replicas: 1}, updated, []podset.Step{create}, nil, "2 pods"},
		"nothing, with a pod missing":                     {podset.Pool{Replicas: 2}, updated, nil, nil, "the number of pods"},
		"nothing, with a pod to go":                       {podset.Pool{Replicas: 1}, doomed, nil, nil, "asked to go"},
		"nothing, with a pod held by a hook":              {podset.Pool{Replicas: 0}, leaving, nil, nil, "hook"},
		"nothing, with an old pod":                        {podset.Pool{Replicas: 1}, old, nil, nil, "old"},
		"nothing, with a pod that is away":                {podset.Pool{Replicas: 1}, away, nil, nil, "unavailable"},
		"a pod more, and silence about the old one":       {podset.Pool{Replicas: 1, Rolling: budget.Rolling{MaxSurge: 1}}, old, []podset.Step{create}, nil, "old"},
		"a pod more, and silence about one that is to go": {podset.Pool{Replicas: 1, Rolling: budget.Rolling{MaxSurge: 1}}, doomed, []podset.Step{create}, nil, "asked to go"},
		"an update":                           {podset.Pool{Replicas: 1}, old, []podset.Step{update}, nil, ""},
		"a pod more, where surge allows that": {podset.Pool{Replicas: 1, Rolling: budget.Rolling{MaxSurge: 1}}, old, []podset.Step{create}, []podset.Note{{Wish: podset.WishUpdate, Because: "others are created first"}}, ""},
		"a resize while a pod is resized":     {podset.Pool{Replicas: 1}, resized, []podset.Step{resize}, nil, "at most 1 may be"},
		"a resize":                            {podset.Pool{Replicas: 1}, old, []podset.Step{resize}, nil, ""},
		"nothing, and nothing is wanted":      {podset.Pool{Replicas: 1}, updated, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.pool.UpdateRevision = "v2"
			test.pool.Change = func(_, to string) inplace.Change {
				if to == "resized" {
					return inplace.Change{Resources: map[string]corev1.ResourceRequirements{"web": {}}}
				}
				return inplace.Change{}
			}
			expect(t, story.CheckPlan(&test.pool, []replica.Replica{test.pod}, podset.Plan{Steps: test.steps, Notes: test.notes}), test.want)
		})
	}
}

func TestAWorldThatBreaksAPromiseIsFoundOut(t *testing.T) {
	w := world.New()
	for _, name := range []string{"demo-a", "demo-b"} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}}}
		if err := w.Create(pod); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, story.CheckService(w, []replica.Replica{{Name: "demo-a"}}), "")
	expect(t, story.CheckService(w, []replica.Replica{{Name: "demo-a", Available: true}}), `available with ""`)
	expect(t, story.CheckOwnership(w), "")
	for _, name := range []string{"demo-a", "demo-b"} {
		if err := w.Edit(name, func(m *metav1.ObjectMeta) { m.Labels[v1beta1.CloneSetInstanceID] = "a" }); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, story.CheckOwnership(w), "the same instance id")
	w.Lose("demo-b")
	w.Pods[0].Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data-a"}}}}
	expect(t, story.CheckOwnership(w), "its claim data-a does not")
}

func expect(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("error %v, want %q", err, want)
	}
}
