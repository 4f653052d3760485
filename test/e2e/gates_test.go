package e2e

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// gates are those that the second part of the stories runs with.
const gates = "InPlaceWorkloadVerticalScaling=true,CloneSetPartitionRollback=true,PreDownloadImageForInPlaceUpdate=true,PreDownloadImageForDaemonSetUpdate=true,StatefulSetAutoResizePVCGate=true,ResourcesDeletionProtection=true,SidecarTerminator=true,PodUnavailableBudgetUpdateGate=true,RecreatePodWhenChangeVCTInCloneSetGate=true"

// openGates changes the release as a user would, and waits until all managers run with the gates.
func openGates(s *space) {
	s.Helper()
	managers := s.managers()
	s.helm(s.T, "upgrade", release, "deploy/chart", "--namespace", kruiseNamespace, "--reuse-values",
		"--set-string", "featureGates="+strings.ReplaceAll(gates, ",", `\,`), "--wait")
	managers.untilManagersAre(2)
}

func rollsBack(s *space) {
	s.start("back", 4)
	before := s.podsNow("back")
	end := s.guard("back", serving(3), existing(4))
	s.untilSaid(s.change("back", both(image("1.10.3"), partition(1))), v1beta1.CloneSetProgressPartitionAvailable)
	s.same("the images", map[string]int{"1.10.2": 1, "1.10.3": 3}, tags(s.podsNow("back")))

	s.untilSaid(s.change("back", partition(3)), v1beta1.CloneSetProgressPartitionAvailable)
	s.until("three pods have gone back", func() string {
		if pods := s.pods("back"); tags(pods)["1.10.2"] != 3 || count(pods, serves) != 4 {
			return s.describe("back")
		}
		return ""
	})
	end()
	after := s.podsNow("back")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	total := int32(0)
	for _, n := range restarts(after) {
		total += n
	}
	s.same("the restarts: three there and two back", int32(5), total)
}

func pullsAhead(s *space) {
	s.watch(&v1beta1.ImagePullJob{})
	s.start("ahead", 4, grace(1))
	s.untilNodesPull("ahead") // one that was lost and is back has its NodeImage a while later
	// No other story uses it by any name: a kubelet that pulled the same image by another name pulls once more to check credentials.
	const fresh = "docker.io/openkruise/demo:1.10.6"
	set := s.change("ahead", both(partition(3), func(set *v1beta1.CloneSet) { set.Spec.Template.Spec.Containers[0].Image = fresh }))
	s.untilSaid(set, v1beta1.CloneSetProgressPartitionAvailable)
	set = s.set("ahead")
	name := set.Status.UpdateRevision + "-" + app
	job := s.jobs()[name]
	if job == nil {
		s.Fatalf("there is no job %s among %v", name, s.jobs())
	}
	s.untilEvent("CreatedImagePullJob", name)
	hash := set.Status.UpdateRevision[len("ahead-"):]
	s.same("the image", fresh, job.Spec.Image)
	s.same("where it is pulled", fmt.Sprintf("app=ahead,controller-revision-hash notin (%s,%s)", hash, set.Status.UpdateRevision), metav1.FormatLabelSelector(job.Spec.PodSelector))
	s.same("how many at a time", int32(1), job.Spec.Parallelism.IntVal)
	s.same("how often", int32(1), *job.Spec.PullPolicy.BackoffLimit)
	s.same("how long", int32(300), *job.Spec.PullPolicy.TimeoutSeconds)
	s.same("how long it stays", int32(600), *job.Spec.CompletionPolicy.TTLSecondsAfterFinished)
	s.same("the labels of the sandbox", map[string]string{app: "ahead"}, job.Spec.SandboxConfig.Labels)
	s.same("whose it is", set.UID, job.OwnerReferences[0].UID)

	s.untilPulled(name)
	if job := s.pullJob(name); job.Status.Failed > 0 || job.Status.Succeeded == 0 {
		s.Errorf("the job ended with %+v", job.Status)
	}
	before := s.pullings(fresh)
	s.untilDone(s.change("ahead", partition(0)))
	s.same("the pulls that pods of the second batch waited for", 0, s.pullings(fresh)-before)
	s.until("the job is gone", func() string {
		if left := s.jobs(); len(left) > 0 {
			return fmt.Sprint(left)
		}
		return ""
	})
}

// jobs are the ImagePullJobs of the namespace, by name.
func (s *space) jobs() map[string]*v1beta1.ImagePullJob {
	s.Helper()
	var list v1beta1.ImagePullJobList
	if err := s.seen.List(s.Context(), &list); err != nil {
		s.Fatalf("listing the jobs of %s: %v", s.name, err)
	}
	all := map[string]*v1beta1.ImagePullJob{}
	for i := range list.Items {
		all[list.Items[i].Name] = &list.Items[i]
	}
	return all
}
