package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"kruise.io/kruise/api/apps/v1beta1"
)

// walkThrough types what docs/tasks/upgrade-in-place.md says and reads what a user reads.
func walkThrough(s *space) {
	kubectl := s.shell(filepath.Join(root, "docs/tasks/upgrade-in-place"))

	if says := kubectl("create", "-f", "cloneset.yaml"); says != "cloneset.apps.kruise.io/demo-clone created\n" {
		s.Errorf("kubectl create printed %q", says)
	}
	s.untilDone(s.change("demo-clone", func(*v1beta1.CloneSet) {}))
	rows := strings.Split(strings.TrimSpace(kubectl("get", "pod")), "\n")
	if len(rows) != 6 || !regexp.MustCompile(`^NAME +READY +STATUS +RESTARTS +AGE$`).MatchString(rows[0]) {
		s.Errorf("kubectl get pod printed %q", rows)
	}
	for _, row := range rows[1:] {
		if !regexp.MustCompile(`^demo-clone-[a-z0-9]{5} +1/1 +Running +0 +[0-9ms]+$`).MatchString(row) {
			s.Errorf("kubectl get pod shows a pod as %q", row)
		}
	}
	s.table(kubectl("get", "clone"), "demo-clone 5 5 5 5 5 5")

	before := s.podsNow("demo-clone")
	end := s.guard("demo-clone", serving(4), existing(5))
	says := kubectl("patch", "clone", "demo-clone", "--type=json",
		"-p", `[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "`+demo("1.10.3")+`"}]`)
	if says != "cloneset.apps.kruise.io/demo-clone patched\n" {
		s.Errorf("kubectl patch printed %q", says)
	}
	s.untilDone(s.change("demo-clone", func(*v1beta1.CloneSet) {}))
	end()
	after := s.podsNow("demo-clone")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	for _, pod := range after {
		if restarts := containerOf(pod, "guestbook").RestartCount; restarts != 1 {
			s.Errorf("the container of pod %s was restarted %d times, not once", pod.Name, restarts)
		}
		s.untilPage(pod.Status.PodIP+":8080", "1.10.3")
	}
	s.table(kubectl("get", "clone"), "demo-clone 5 5 5 5 5 5")

	for _, wanted := range []string{"8", "3"} {
		if says := kubectl("scale", "clone", "demo-clone", "--replicas="+wanted); says != "cloneset.apps.kruise.io/demo-clone scaled\n" {
			s.Errorf("kubectl scale printed %q", says)
		}
		s.untilDone(s.change("demo-clone", func(*v1beta1.CloneSet) {}))
		s.table(kubectl("get", "clone"), "demo-clone "+strings.TrimSpace(strings.Repeat(wanted+" ", 6)))
	}
	kubectl("delete", "clone", "demo-clone")
	s.untilLeft("demo-clone", 0)
}

// shell returns the kubectl of a user who works in a folder and in the namespace of the test.
func (s *space) shell(folder string) func(args ...string) string {
	s.Helper()
	text, err := os.ReadFile(s.kubeconfig)
	if err != nil {
		s.Fatal(err)
	}
	own := *s.cluster
	own.kubeconfig = filepath.Join(s.TempDir(), "kubeconfig")
	if err := os.WriteFile(own.kubeconfig, text, 0o600); err != nil {
		s.Fatal(err)
	}
	own.kubectl(s.T, "", "config", "set-context", "--current", "--namespace="+s.name)
	return func(args ...string) string {
		s.Helper()
		return own.kubectl(s.T, folder, args...)
	}
}

// table checks what kubectl get clone prints for one CloneSet.
func (s *space) table(printed, row string) {
	s.Helper()
	rows := strings.Split(strings.TrimSpace(printed), "\n")
	if head := strings.Join(strings.Fields(rows[0]), " "); head != "NAME DESIRED UPDATED UPDATED_READY UPDATED_AVAILABLE READY TOTAL AGE" {
		s.Errorf("kubectl get clone has the columns %s", head)
	}
	if len(rows) != 2 || !strings.HasPrefix(strings.Join(strings.Fields(rows[1]), " "), row+" ") {
		s.Errorf("kubectl get clone printed\n%s\nand not %s", printed, row)
	}
}
