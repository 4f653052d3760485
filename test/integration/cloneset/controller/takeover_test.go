package controller

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/cloneset"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/workload"
	"kruise.io/kruise/test/builder"
	"kruise.io/kruise/test/integration/stepped"
)

// situation is what an older manager left, and what becomes of it.
type situation struct {
	// from is the file in testdata/takeover.
	from    string
	options cloneset.Options
	// still: nothing is written but the status of the CloneSet, and of that nothing that was there is changed.
	still bool
	// restarts counts the restarts of containers by pod. All other containers run on.
	restarts map[string]int
	// gone are the pods that are deleted. All others keep their UID.
	gone []string
	// made is how many pods are created.
	made int
	// images are what the pods run in the end.
	images string
	// then goes on from there.
	then func(*world)
}

// TestWhatAnOlderManagerLeftIsTakenOver goes through what is found when this manager is installed in the place of an older
// one, at every point of a rollout. It does not run beside other tests while objects are stored in the older version.
func TestWhatAnOlderManagerLeftIsTakenOver(t *testing.T) {
	namespaces := leave(t)
	all := map[string]situation{}
	maps.Copy(all, atRest())
	maps.Copy(all, heldUp())
	maps.Copy(all, halfWay())
	used := map[string]bool{}
	for name, s := range all {
		used[s.from+".yaml"] = true
		if namespaces[s.from+".yaml"] == "" {
			t.Fatalf("%s: there is no %s.yaml, or another test uses it, too", name, s.from)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.takenOver(worldIn(t, namespaces[s.from+".yaml"], s.options))
		})
	}
	for file := range namespaces {
		if !used[file] {
			t.Errorf("no test takes over %s", file)
		}
	}
}

// atRest are rollouts that were complete. The manifest of before, applied again, changes nothing, although nobody writes its
// defaults out any more. An update that follows goes in place, as it would have before.
func atRest() map[string]situation {
	still := func(from string) situation {
		return situation{from: from, still: true, images: "a:2 ×3", then: func(w *world) {
			w.wantManifestAgain()
			w.wantUpdateInPlace("a:3 ×3")
		}}
	}
	with := func(s situation, options cloneset.Options) situation {
		s.options = options
		return s
	}
	noFollowUp := func(s situation) situation {
		s.then = nil
		return s
	}
	return map[string]situation{
		"pods that were never updated":                        still("at-rest"),
		"pods that were updated in place":                     still("at-rest-updated-in-place"),
		"a template without defaults":                         still("at-rest-without-defaults"),
		"a free claim that a later pod may have":              still("at-rest-with-claims"),
		"the claim of an evicted pod":                         {from: "at-rest-with-claims-of-an-evicted-pod", still: true, images: "a:2 ×4"},
		"short revision labels, among them a long one":        with(still("at-rest-with-short-labels"), cloneset.Options{Options: workload.Options{ShortHash: true}}),
		"pods of older releases":                              noFollowUp(still("at-rest-with-pods-of-older-releases")),
		"a revision that was named after collisions":          still("at-rest-after-a-collision"),
		"a pod that a ContainerRecreateRequest keeps waiting": noFollowUp(still("at-rest-held-by-a-container-recreate-request")),
		"a revision without an owner that pods have is ours again": {
			from: "at-rest-with-orphaned-revisions", images: "a:2 ×3", then: func(w *world) {
				w.wantRevisions("web-5f7c9d6b48", "web-6d5f4c8b9d")
				if owners := w.Revisions()[1].OwnerReferences; len(owners) != 1 || owners[0].UID != w.Object().UID {
					w.Errorf("the revision that the pods have is owned by %v", owners)
				}
				w.wantUpdateInPlace("a:3 ×3")
			},
		},
		"the job of a rollout that is complete is deleted": {
			from: "at-rest-with-jobs", options: cloneset.Options{Options: workload.Options{PullAhead: true}}, images: "a:2 ×5",
			then: func(w *world) { w.wantJobs() },
		},
	}
}

// heldUp are rollouts that wait for somebody, and go on when they are let.
func heldUp() map[string]situation {
	goOn := func(w *world) {
		w.change(func(s *v1beta1.CloneSetSpec) {
			s.UpdateStrategy.RollingUpdate.Paused, s.UpdateStrategy.RollingUpdate.Partition = false, ptr.To(intstr.FromInt32(0))
		})
		w.Finish()
		w.wantImages("when the rollout may go on", "a:2 ×5")
		w.wantRestarts("when the rollout may go on", map[string]int{"web-ccccc": 1, "web-ddddd": 1, "web-eeeee": 1}, "web-aaaaa", "web-bbbbb")
	}
	unhold := func(pod, label string, want map[string]int) func(*world) {
		return func(w *world) {
			w.relabel(pod, label, nil)
			w.Finish()
			w.wantRestarts("without the hook", want)
			w.wantImages("without the hook", "a:2 ×3")
			w.relabel(pod, label, ptr.To("true"))
			w.Finish()
			w.wantAvailable("in the end", 3)
		}
	}
	return map[string]situation{
		"a rollout that is paused half-way": {from: "paused", still: true, images: "a:1 ×3, a:2 ×2", then: goOn},
		"a partition that is reached":       {from: "partition-reached", still: true, images: "a:1 ×3, a:2 ×2", then: goOn},
		"a paused rollout with images pulled ahead": {
			from: "paused-with-jobs", options: cloneset.Options{Options: workload.Options{PullAhead: true}}, still: true, images: "a:1 ×3, a:2 ×2",
			then: func(w *world) {
				w.wantJobs("web-6d5f4c8b9d-main")
				goOn(w)
				w.wantJobs()
			},
		},
		"a pod in PreparingUpdate waits for its hook": {
			from: "preparing-update", still: true, images: "a:1 ×1, a:2 ×2",
			then: unhold("web-aaaaa", "example.com/hold", map[string]int{"web-aaaaa": 1}),
		},
		"a pod in Updated waits for its hook": {
			from: "updated-waiting-for-a-hook", still: true, images: "a:2 ×3",
			then: func(w *world) {
				w.relabel("web-aaaaa", "example.com/registered", ptr.To("true"))
				w.Finish()
				w.wantAvailable("with the hook", 3)
				w.wantRestarts("with the hook", nil, "web-aaaaa")
			},
		},
		"a pod in PreparingDelete waits for its hook": {
			from: "preparing-delete", still: true, images: "a:2 ×3",
			then: func(w *world) {
				w.finalize("web-aaaaa")
				w.Finish()
				w.wantImages("without the hook", "a:2 ×2")
				w.wantClaims("without the hook")
			},
		},
		"pods in PreparingDelete are left out of the count": {from: "excluding-preparing-delete", still: true, images: "a:2 ×3"},
	}
}

// halfWay are rollouts whose manager ended in the middle of something, which is finished.
func halfWay() map[string]situation {
	one := func(from string) situation {
		return situation{from: from, images: "a:2 ×3", restarts: map[string]int{"web-aaaaa": 1}}
	}
	restarts := func(s situation, n int) situation {
		s.restarts = map[string]int{"web-aaaaa": n}
		return s
	}
	grace := func(from string) situation {
		s := one(from)
		s.then = func(w *world) { w.wantMetadata("web-aaaaa", "canary", "two") }
		return s
	}
	sides := func(from string, n int) situation {
		s := restarts(one(from), n)
		s.then = func(w *world) {
			if image := w.Pod("web-aaaaa").Spec.Containers[1].Image; image != "b:2" {
				w.Errorf("the second container runs %s, want b:2", image)
			}
		}
		return s
	}
	resized := func(from string, n int) situation {
		s := restarts(one(from), n)
		s.options = cloneset.Options{Options: workload.Options{InPlace: inplace.Options{Resources: true}}}
		s.then = func(w *world) {
			w.wantAvailable("resized", 3)
			for _, c := range w.Pod("web-aaaaa").Spec.Containers {
				if cpu := c.Resources.Requests.Cpu().String(); cpu != "200m" {
					w.Errorf("container %s requests %s of cpu, want 200m", c.Name, cpu)
				}
			}
		}
		return s
	}
	env := one("grace-period-with-env")
	env.then = func(w *world) {
		w.wantAvailable("with its environment", 3)
		if tier := w.Pod("web-aaaaa").Annotations["example.com/tier"]; tier != "gold" {
			w.Errorf("the annotation that the environment takes in is %q, want gold", tier)
		}
	}
	recreated := func(from, images string) situation {
		return situation{from: from, images: images, gone: []string{"web-aaaaa"}, made: 1}
	}
	return map[string]situation{
		"a pod that was taken out of service and not changed":     one("out-of-service-but-not-patched"),
		"a pod that was changed and not restarted":                one("updating-not-restarted"),
		"a pod that was restarted and not put into service":       restarts(one("updating-restarted"), 0),
		"a pod with the older names of annotations":               one("updating-with-legacy-keys"),
		"a pod in its grace period":                               grace("grace-period"),
		"a grace period with the older names of annotations":      grace("grace-period-with-legacy-keys"),
		"a grace period of a revision that is not the pod's":      restarts(grace("grace-period-of-a-revision-that-is-not-the-pods"), 0),
		"a grace period before containers change in their order":  sides("grace-period-before-batches", 2),
		"a grace period before an annotation for the environment": env,
		"a grace period before a resize":                          resized("grace-period-with-resources", 1),
		"a resize that is left for the last":                      resized("last-batch-of-resources", 0),
		"a pod whose first container has not restarted":           sides("in-the-first-batch", 2),
		"a pod between two containers":                            sides("between-batches", 1),
		"a pod that was asked to go":                              recreated("specified-delete", "a:2 ×3"),
		"a pod that was marked to be recreated":                   recreated("recreating", "a:1 ×2, a:2 ×1"),
		"pods that were just created":                             {from: "just-created", images: "a:2 ×3", restarts: map[string]int{}},
	}
}

// takenOver runs the controller to rest and looks at what became of everything.
func (s situation) takenOver(w *world) {
	w.Helper()
	before, set := w.Snapshot(), w.Object()
	w.Finish()
	w.Pass(time.Minute) // for grace periods: the rest that comes before their end is no rest
	w.Finish()
	after := w.Snapshot()
	for name, uid := range before.Pods {
		if slices.Contains(s.gone, name) == (after.Pods[name] == uid) {
			w.Errorf("pod %s: had UID %s and has %s", name, uid, after.Pods[name])
		}
	}
	if made := len(after.Pods) - len(before.Pods) + len(s.gone); made != s.made {
		w.Errorf("%d pods were made, want %d", made, s.made)
	}
	w.wantImages("taken over", s.images)
	want := maps.Clone(before.Restarts)
	for pod, n := range s.restarts {
		want[pod] += n
	}
	for _, pod := range s.gone {
		delete(want, pod)
	}
	for pod := range want {
		if after.Restarts[pod] != want[pod] {
			w.Errorf("pod %s: its containers restarted %d times, want %d", pod, after.Restarts[pod]-before.Restarts[pod], want[pod]-before.Restarts[pod])
		}
	}
	if s.still {
		w.wantStill(before, after, set)
	} else if s.then == nil || s.made > 0 {
		w.wantAvailable("taken over", len(w.active()))
	}
	if s.then != nil {
		s.then(w)
	}
}

// wantStill fails the test when anything was written but the status, or when that says other than it did. What it may say in
// addition is a condition, and another message.
func (w *world) wantStill(before, after stepped.Snapshot, set *v1beta1.CloneSet) {
	w.Helper()
	for _, write := range w.Writes() {
		if write.Resource != "clonesets/status" {
			w.Errorf("it wrote %v", write)
		}
	}
	if diff := cmp.Diff(before.Versions, after.Versions); diff != "" {
		w.Errorf("revisions and claims (-before +after):\n%s", diff)
	}
	now := w.Object().Status
	if diff := cmp.Diff(set.Status, now, cmpopts.IgnoreFields(v1beta1.CloneSetStatus{}, "Conditions")); diff != "" {
		w.Errorf("status (-before +after):\n%s", diff)
	}
	had := now.Conditions[:min(len(set.Status.Conditions), len(now.Conditions))]
	if diff := cmp.Diff(set.Status.Conditions, had, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(v1beta1.CloneSetCondition{}, "Message")); diff != "" {
		w.Errorf("conditions (-before +after):\n%s", diff)
	}
}

// wantManifestAgain applies the template as its user wrote it, and fails the test when that is more than a new generation.
func (w *world) wantManifestAgain() {
	w.Helper()
	w.Writes()
	w.change(func(s *v1beta1.CloneSetSpec) {
		plain := builder.CloneSet(web).Image("a:2").Object().Spec
		s.Template, s.VolumeClaimTemplates = plain.Template, builder.CloneSet(web).Claim("data").Object().Spec.VolumeClaimTemplates[:len(s.VolumeClaimTemplates)]
	})
	w.Finish()
	for _, write := range w.Writes() {
		if write.Resource != "clonesets/status" {
			w.Errorf("with the manifest applied again it wrote %v", write)
		}
	}
}

// wantUpdateInPlace gives the set another image, and fails the test unless the pods get it and stay.
func (w *world) wantUpdateInPlace(images string) {
	w.Helper()
	before := w.uids()
	w.image(strings.Fields(images)[0])
	w.Finish()
	if diff := cmp.Diff(before, w.uids()); diff != "" {
		w.Errorf("pods after an update in place (-before +after):\n%s", diff)
	}
	w.wantImages("after an update in place", images)
	w.wantAvailable("after an update in place", len(w.active()))
}

// wantRestarts fails the test unless the containers restarted this often since they were left.
func (w *world) wantRestarts(when string, want map[string]int, once ...string) {
	w.Helper()
	got := w.Snapshot().Restarts
	for pod, n := range got {
		had := 0
		if slices.Contains(once, pod) {
			had = 1
		}
		if n != want[pod]+had {
			w.Errorf("%s: the containers of %s restarted %d times, want %d", when, pod, n-had, want[pod])
		}
	}
}

func (w *world) wantAvailable(when string, want int) {
	w.Helper()
	if n := w.Object().Status.AvailableReplicas; int(n) != want {
		w.Errorf("%s: %d pods are available, want %d", when, n, want)
	}
}

func (w *world) wantRevisions(want ...string) {
	w.Helper()
	var got []string
	for _, r := range w.Revisions() {
		got = append(got, r.Name)
	}
	if !slices.Equal(got, want) {
		w.Errorf("revisions %v, want %v", got, want)
	}
}

func (w *world) wantJobs(want ...string) {
	w.Helper()
	jobs := &v1beta1.ImagePullJobList{}
	if err := w.API.List(w.Context(), jobs, client.InNamespace(w.Namespace)); err != nil {
		w.Fatal(err)
	}
	var got []string
	for _, job := range jobs.Items {
		got = append(got, job.Name)
	}
	if !slices.Equal(got, want) {
		w.Errorf("jobs %v, want %v", got, want)
	}
}

func (w *world) wantMetadata(name, track, note string) {
	w.Helper()
	pod := w.Pod(name)
	if pod.Labels["track"] != track || pod.Annotations["example.com/note"] != note {
		w.Errorf("pod %s has the labels %v and annotations %v", name, pod.Labels, pod.Annotations)
	}
	for _, key := range []string{v1beta1.InPlaceUpdateGraceKey, v1beta1.InPlaceUpdateGraceKeyOld} {
		if text, ok := pod.Annotations[key]; ok {
			w.Errorf("pod %s still waits for a grace period: %s", name, text)
		}
	}
}

// relabel gives a pod a label, or takes it away.
func (w *world) relabel(name, key string, value *string) {
	w.Helper()
	pod := w.Pod(name)
	before := pod.DeepCopy()
	if value == nil {
		delete(pod.Labels, key)
	} else {
		pod.Labels[key] = *value
	}
	if err := w.API.Patch(w.Context(), pod, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

// finalize takes all finalizers off a pod.
func (w *world) finalize(name string) {
	w.Helper()
	pod := w.Pod(name)
	before := pod.DeepCopy()
	pod.Finalizers = nil
	if err := w.API.Patch(w.Context(), pod, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}
