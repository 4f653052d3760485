package e2e

import (
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kubectl/explain"
	"kruise.io/kruise/kubectl/forecast"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/podset"
)

// reader makes an account that may only look at the namespace, and returns what runs the plugin as that account.
func (s *space) reader() func(args ...string) string {
	s.Helper()
	account := &corev1.ServiceAccount{}
	account.Name = "reader"
	s.create(account)
	binding := &rbacv1.RoleBinding{
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: s.name, Name: account.Name}},
	}
	binding.Name = "reader"
	s.create(binding)
	return func(args ...string) string {
		s.Helper()
		args = append(args, "--namespace", s.name, "--as", "system:serviceaccount:"+s.name+":"+account.Name)
		return run(s.T, s.kubeconfig, root, "bin/kubectl-kruise", args...)
	}
}

// says fails the test when a text lacks any of the words.
func (s *space) says(text string, words ...string) {
	s.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			s.Errorf("%q is missing in:\n%s", word, text)
		}
	}
}

func pluginExplains(s *space) {
	plugin := s.reader()
	s.start("asked", 3)
	if text := plugin("explain", "cloneset/asked"); strings.Count(text, "\n") != 1 {
		s.Errorf("a set at rest takes more than a line:\n%s", text)
	} else {
		s.says(text, "it is at rest: all 3 pods are available")
	}

	set := s.change("asked", image("no-such-tag"))
	s.until("the condition says that the image cannot be pulled", func() string {
		now := s.set("asked")
		if now.Status.ObservedGeneration < set.Generation || !strings.Contains(progress(now).Message, "ImagePull") {
			return s.describe("asked")
		}
		return ""
	})
	s.says(plugin("explain", "clone", "asked"),
		"3 wanted, 3 exist; 1 updated, 2 ready, 2 available",
		"2 pods have revision", "are updated in place", "image "+demo("1.10.2")+" -> "+demo("no-such-tag"),
		"2 pods are to be updated, but maxUnavailable is 1", "container app: ", "ImagePull",
		"What to do: image "+demo("no-such-tag")+" of container app cannot be pulled")
	var told explain.Explanation
	if err := json.Unmarshal([]byte(plugin("explain", "clone", "asked", "-o", "json")), &told); err != nil {
		s.Fatal(err)
	}
	if len(told.Pods) != 1 || !told.Pods[0].Updated || told.AtRest || told.Counts.Available != 2 || len(told.Controller) > 0 {
		s.Errorf("for programs it says %+v", told)
	}
	s.says(plugin("plan", "clone/asked"), "It stops there for good", "ImagePull")

	back := s.plan(plugin, "plan", "clone/asked", "--set-image", "app="+demo("1.10.2"))
	if begun := updatedIn(back); !slices.Equal(begun, []string{told.Pods[0].Name}) || !back.Rest.AtRest || back.LeastAvailable != 2 {
		s.Errorf("going back would update %v, and end with %s; only %s is broken", begun, back.Rest.Summary, told.Pods[0].Name)
	}
	s.untilDone(s.change("asked", image("1.10.2")))
	s.says(plugin("explain", "clone/asked"), "it is at rest")
}

func pluginForetells(s *space) {
	plugin := s.reader()
	set := s.start("foretold", 4, grace(2))
	planned := s.plan(plugin, "plan", "clone/foretold", "--set-image", "app="+demo("1.10.3"), "--partition", "1")
	if now := s.change("foretold", func(*v1beta1.CloneSet) {}); now.Generation != set.Generation {
		s.Fatalf("the plan changed the CloneSet: generation %d, it was %d", now.Generation, set.Generation)
	}

	s.untilSaid(s.change("foretold", both(image("1.10.3"), partition(1))), v1beta1.CloneSetProgressPartitionAvailable)
	updated := slices.DeleteFunc(s.podsNow("foretold"), func(pod *corev1.Pod) bool {
		state, _ := inplace.StateOf(pod)
		return state.Revision == "" || pod.Spec.Containers[0].Image != demo("1.10.3")
	})
	slices.SortFunc(updated, func(a, b *corev1.Pod) int {
		first, _ := inplace.StateOf(a)
		second, _ := inplace.StateOf(b)
		return first.UpdateTimestamp.Compare(second.UpdateTimestamp.Time)
	})
	var happened []string
	for _, pod := range updated {
		happened = append(happened, pod.Name)
	}
	s.same("the order of the update, from plan to deed,", updatedIn(planned), happened)
	if !planned.Rest.AtRest || planned.After.Updated != 3 || planned.LeastAvailable != 3 {
		s.Errorf("foretold were %d updated pods, at least %d available, and %q", planned.After.Updated, planned.LeastAvailable, planned.Rest.Summary)
	}
}

// plan runs the plugin and reads the plan.
func (s *space) plan(plugin func(...string) string, args ...string) forecast.Forecast {
	s.Helper()
	var f forecast.Forecast
	if err := json.Unmarshal([]byte(plugin(append(args, "-o", "json")...)), &f); err != nil {
		s.Fatal(err)
	}
	return f
}

// updatedIn are the pods that a plan updates in place, in order.
func updatedIn(f forecast.Forecast) []string {
	var out []string
	for _, w := range f.Waves {
		for _, step := range w.Steps {
			if step.Do == string(podset.Update) {
				out = append(out, step.Pods...)
			}
		}
	}
	return out
}
