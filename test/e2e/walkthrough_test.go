package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// walkThrough types what docs/tasks/upgrade-in-place.md says and reads what a user reads.
func walkThrough(s *space) {
	kubectl := s.shell(filepath.Join(root, "docs/tasks/upgrade-in-place"))

	s.prints(kubectl("create", "-f", "cloneset.yaml"), "cloneset.apps.kruise.io/demo-clone created")
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
	s.prints(kubectl("patch", "clone", "demo-clone", "--type=json", "-p", imagePatch("1.10.3")), "cloneset.apps.kruise.io/demo-clone patched")
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
		s.prints(kubectl("scale", "clone", "demo-clone", "--replicas="+wanted), "cloneset.apps.kruise.io/demo-clone scaled")
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

// imagePatch is the JSON patch by which a walk-through changes the image of the first container.
func imagePatch(tag string) string {
	return `[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "` + demo(tag) + `"}]`
}

// prints checks what kubectl printed.
func (s *space) prints(printed, want string) {
	s.Helper()
	if printed != want+"\n" {
		s.Errorf("kubectl printed %q and not %q", printed, want)
	}
}

// takesOver makes a native workload of a kind, whose spec has some lines of its own, and then ours in its place: from the same
// manifest with another first line. All of its pods stay as they are.
func (s *space) takesOver(kubectl func(...string) string, kind, lines string, pods int) {
	s.Helper()
	const first = "apiVersion: apps/v1\n"
	rest := "kind: " + kind + `
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: app, image: ` + demo("1.10.2") + "}]}\n" + lines
	native, ours := filepath.Join(s.TempDir(), "native.yaml"), filepath.Join(s.TempDir(), "ours.yaml")
	for file, text := range map[string]string{native: first + rest, ours: "apiVersion: apps.kruise.io/v1beta1\n" + rest} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			s.Fatal(err)
		}
	}
	name := strings.ToLower(kind)
	s.prints(kubectl("create", "-f", native), name+".apps/shop created")
	var before []*corev1.Pod
	s.until("the pods of the native "+kind+" are ready", func() string {
		before = s.labelled("shop")
		if n := count(before, func(pod *corev1.Pod) bool { return statusOf(pod, corev1.PodReady) == corev1.ConditionTrue }); n != pods {
			return fmt.Sprintf("%d of %d", n, len(before))
		}
		return ""
	})
	s.prints(kubectl("delete", name+".apps", "shop", "--cascade=orphan"), name+`.apps "shop" deleted from `+s.name+" namespace")
	s.prints(kubectl("create", "-f", ours), name+".apps.kruise.io/shop created")
	s.until("all pods belong to ours, which is at rest", func() string {
		says := kubectl("get", name+".apps.kruise.io", "shop", "-o", "jsonpath={.metadata.generation} {.status.observedGeneration} {.status.conditions[*].reason}")
		if len(s.pods("shop")) != pods || says != "1 1 "+kind+"Available" {
			return says
		}
		return ""
	})
	s.same("the pods that were taken over", s.identities(before), s.identities(s.labelled("shop")))
	s.same("their containers", lives(before, app), lives(s.labelled("shop"), app))
	if rows := strings.Split(strings.TrimSpace(kubectl("get", "controllerrevisions")), "\n"); len(rows) != 2 || !strings.Contains(rows[1], name+".apps.kruise.io/shop") {
		s.Errorf("there is not one revision, that of ours: %q", rows)
	}
}

// labelled are the pods with a label of the stories, whoever owns them.
func (s *space) labelled(value string) []*corev1.Pod {
	s.Helper()
	var list corev1.PodList
	if err := s.seen.List(s.Context(), &list, client.InNamespace(s.name), client.MatchingLabels{app: value}); err != nil {
		s.Fatalf("listing the pods of %s: %v", value, err)
	}
	var pods []*corev1.Pod
	for i := range list.Items {
		pods = append(pods, &list.Items[i])
	}
	return pods
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
