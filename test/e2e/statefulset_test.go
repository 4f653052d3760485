package e2e

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// walkThroughStatefulSet types what docs/tasks/run-a-statefulset.md says and reads what a user reads.
func walkThroughStatefulSet(s *space) {
	s.watch(&v1beta1.StatefulSet{})
	kubectl := s.shell(root)
	s.prints(kubectl("create", "-f", "docs/tasks/run-a-statefulset/statefulset.yaml"), "statefulset.apps.kruise.io/demo-asts created")
	s.untilOrdinals("demo-asts")
	rows := strings.Split(strings.TrimSpace(kubectl("get", "pod")), "\n")
	for i, row := range rows[1:] {
		if !regexp.MustCompile(fmt.Sprintf(`^demo-asts-%d +1/1 +Running +0 +[0-9ms]+$`, i)).MatchString(row) {
			s.Errorf("kubectl get pod shows pod %d as %q", i, row)
		}
	}
	s.rows(kubectl("get", "asts"), "NAME DESIRED CURRENT UPDATED READY AGE", "demo-asts 3 3 3 3")

	before := s.podsNow("demo-asts")
	end := s.guard("demo-asts", serving(2), existing(3))
	s.prints(kubectl("patch", "asts", "demo-asts", "--type=json", "-p", imagePatch("1.10.3")), "statefulset.apps.kruise.io/demo-asts patched")
	s.prints(kubectl("wait", "--for=jsonpath={.status.updatedAvailableReplicas}=3", "asts/demo-asts", "--timeout=3m"), "statefulset.apps.kruise.io/demo-asts condition met")
	s.untilOrdinals("demo-asts")
	end()
	after := s.podsNow("demo-asts")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	for _, pod := range after {
		s.untilPage(pod.Status.PodIP+":8080", "1.10.3")
	}
	for _, wanted := range []string{"5", "3"} {
		s.prints(kubectl("scale", "asts", "demo-asts", "--replicas="+wanted), "statefulset.apps.kruise.io/demo-asts scaled")
		s.untilOrdinals("demo-asts")
		s.rows(kubectl("get", "asts"), "NAME DESIRED CURRENT UPDATED READY AGE", "demo-asts "+strings.TrimSpace(strings.Repeat(wanted+" ", 4)))
	}
	s.prints(kubectl("patch", "asts", "demo-asts", "--type=merge", "-p", `{"spec":{"reserveOrdinals":[1]}}`), "statefulset.apps.kruise.io/demo-asts patched")
	s.untilOrdinals("demo-asts")
	s.same("the pods around a reserved ordinal", []string{"demo-asts-0", "demo-asts-2", "demo-asts-3"}, slices.Sorted(maps.Keys(s.identities(s.podsNow("demo-asts")))))
	s.prints(kubectl("delete", "asts", "demo-asts"), `statefulset.apps.kruise.io "demo-asts" deleted from `+s.name+" namespace")
	s.untilLeft("demo-asts", 0)
	s.takesOver(kubectl, "StatefulSet", "  replicas: 2\n  serviceName: shop\n", 2)
}

// walkThroughVolumes types what that page says of volumes that grow.
func walkThroughVolumes(s *space) {
	s.watch(&v1beta1.StatefulSet{}, &corev1.PersistentVolumeClaim{})
	const manifest = "docs/tasks/run-a-statefulset/database.yaml"
	size := func(text string) string {
		return `[{"op": "replace", "path": "/spec/volumeClaimTemplates/0/spec/resources/requests/storage", "value": "` + text + `"}]`
	}
	kubectl := s.shell(root)
	s.prints(kubectl("create", "-f", manifest), "service/database created\nstatefulset.apps.kruise.io/database created")
	s.untilOrdinals("database")
	before := s.podsNow("database")
	s.prints(kubectl("patch", "asts", "database", "--type=json", "-p", size("200Mi")), "statefulset.apps.kruise.io/database patched")
	s.until("the volumes have grown, and the status says so", func() string {
		sizes := kubectl("get", "pvc", "-o", "jsonpath={.items[*].status.capacity.storage}")
		says := kubectl("get", "asts", "database", "-o", "jsonpath={.status.volumeClaims}")
		if sizes != "200Mi 200Mi" || says != `[{"compatibleReadyReplicas":2,"compatibleReplicas":2,"volumeClaimName":"data"}]` {
			return sizes + says
		}
		return ""
	})
	s.same("the containers", lives(before, "server"), lives(s.podsNow("database"), "server"))
	s.untilEvent("SuccessfulResize", "asked for larger volumes of pod database-0: its claim asks for 100Mi, and its template for 200Mi")
	if says := kubectl("describe", "asts", "database"); !strings.Contains(says, "SuccessfulResize") {
		s.Errorf("kubectl describe does not tell whose volume grew:\n%s", says)
	}
	large := s.ordinals("database")
	shrunk := large.DeepCopy()
	shrunk.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("100Mi")
	if err := s.client.Patch(s.Context(), shrunk, client.MergeFrom(large)); err == nil || !strings.Contains(err.Error(), "volumes cannot shrink") {
		s.Errorf("a claim that shrinks is answered with %v", err)
	}
	s.prints(kubectl("scale", "asts", "database", "--replicas=1"), "statefulset.apps.kruise.io/database scaled")
	s.until("the volume of the pod that is gone went with it", func() string {
		if claims := s.claims(s.client); len(claims) != 1 {
			return fmt.Sprint(claims)
		}
		return ""
	})
	s.prints(kubectl("delete", "-f", manifest), fmt.Sprintf("service \"database\" deleted from %s namespace\nstatefulset.apps.kruise.io \"database\" deleted from %s namespace", s.name, s.name))
	s.until("the volumes went with the set", func() string {
		if claims := s.claims(s.client); len(claims) != 0 {
			return fmt.Sprint(claims)
		}
		return ""
	})
}

// rows checks what kubectl get prints for one workload: the columns, and the beginning of its row.
func (s *space) rows(printed, columns, row string) {
	s.Helper()
	rows := strings.Split(strings.TrimSpace(printed), "\n")
	if head := strings.Join(strings.Fields(rows[0]), " "); head != columns {
		s.Errorf("kubectl get has the columns %s, and not %s", head, columns)
	}
	if len(rows) != 2 || !strings.HasPrefix(strings.Join(strings.Fields(rows[1]), " "), row+" ") {
		s.Errorf("kubectl get printed\n%s\nand not %s", printed, row)
	}
}

// beginOrdinals makes a StatefulSet of the demo server whose pods have a volume each, changed as asked. Without a change its pods
// come and go one after the other, and are recreated to be updated.
func (s *space) beginOrdinals(name string, replicas int32, changes ...func(*v1beta1.StatefulSet)) {
	s.Helper()
	labels := map[string]string{app: name}
	claim := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}}
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}
	set := &v1beta1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1beta1.StatefulSetSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: app, Image: demo("1.10.2"), VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
				}}},
			},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{claim},
		},
	}
	for _, change := range changes {
		change(set)
	}
	s.create(set)
}

// inPlaceInParallel has pods updated in place, two at a time.
func inPlaceInParallel(set *v1beta1.StatefulSet) {
	set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	set.Spec.Template.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: v1beta1.InPlaceUpdateReady}}
	set.Spec.UpdateStrategy.RollingUpdate = &v1beta1.RollingUpdateStatefulSetStrategy{
		PodUpdatePolicy: v1beta1.InPlaceIfPossiblePodUpdatePolicyType, MaxUnavailable: ptr.To(intstr.FromInt32(2)),
	}
}

func ordinalImage(tag string) func(*v1beta1.StatefulSet) {
	return func(set *v1beta1.StatefulSet) { set.Spec.Template.Spec.Containers[0].Image = demo(tag) }
}

// changeOrdinals changes a StatefulSet and waits until it is as wanted.
func (s *space) changeOrdinals(name string, change func(*v1beta1.StatefulSet)) {
	s.Helper()
	edit(s, name, &v1beta1.StatefulSet{}, change)
	s.untilOrdinals(name)
}

// ordinals is a StatefulSet as the watch told it last.
func (s *space) ordinals(name string) *v1beta1.StatefulSet {
	s.Helper()
	set := &v1beta1.StatefulSet{}
	if err := s.seen.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: name}, set); client.IgnoreNotFound(err) != nil {
		s.Fatalf("looking at the StatefulSet %s: %v", name, err)
	}
	return set
}

// untilOrdinals waits until a StatefulSet, as it is now wanted, has all its pods, updated as far as its partition lets them be,
// and available.
func (s *space) untilOrdinals(name string) {
	s.Helper()
	wanted := &v1beta1.StatefulSet{}
	if err := s.client.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: name}, wanted); err != nil {
		s.Fatalf("looking at the StatefulSet %s: %v", name, err)
	}
	s.until(fmt.Sprintf("the StatefulSet %s is as wanted in generation %d", name, wanted.Generation), func() string {
		set := s.ordinals(name)
		n, status, old := *wanted.Spec.Replicas, set.Status, int32(0)
		if rolling := wanted.Spec.UpdateStrategy.RollingUpdate; rolling != nil {
			old = min(ptr.Deref(rolling.Partition, 0), n)
		}
		if status.ObservedGeneration < wanted.Generation || status.Replicas != n || status.AvailableReplicas != n || status.UpdatedReplicas < n-old || len(s.pods(name)) != int(n) {
			return s.describeOrdinals(name)
		}
		return ""
	})
}

func (s *space) describeOrdinals(name string) string {
	s.Helper()
	set := s.ordinals(name)
	text := fmt.Sprintf("StatefulSet %s: generation %d, status %+v", name, set.Generation, set.Status)
	for _, pod := range s.pods(name) {
		text += "\n  " + describePod(pod)
	}
	return text
}

// oneByOne is the rule that no more than one pod is not ready.
func oneByOne(pods []*corev1.Pod) string {
	return within("are not ready", count(pods, func(pod *corev1.Pod) bool { return statusOf(pod, corev1.PodReady) != corev1.ConditionTrue }), 0, 1)
}

// leaveNames leaves the name of each pod in its volume, and returns what is there then.
func (s *space) leaveNames(pods []*corev1.Pod) map[string]string {
	s.Helper()
	for _, pod := range pods {
		if err := os.WriteFile(s.within(pod, app, "/data/mark"), []byte(pod.Name), 0o600); err != nil {
			s.Fatalf("leaving a mark in a volume: %v", err)
		}
	}
	return s.names(pods)
}

// names are the marks in the volumes of pods, by the names of the pods.
func (s *space) names(pods []*corev1.Pod) map[string]string {
	s.Helper()
	all := map[string]string{}
	for _, pod := range pods {
		mark, err := os.ReadFile(s.within(pod, app, "/data/mark"))
		if err != nil && !os.IsNotExist(err) {
			s.Fatalf("looking for the mark in the volume of pod %s: %v", pod.Name, err)
		}
		all[pod.Name] = string(mark)
	}
	return all
}

// oneAfterTheOther rolls out in order: up when pods are added, down when they are updated or taken away.
func oneAfterTheOther(s *space) {
	s.watch(&v1beta1.StatefulSet{}, &corev1.PersistentVolumeClaim{})
	order := s.births("row")
	end := s.guard("row", oneByOne, existing(3))
	s.beginOrdinals("row", 3)
	s.untilOrdinals("row")
	s.same("the order of creation", []string{"row-0", "row-1", "row-2"}, order())
	first, claims := s.podsNow("row"), s.claims(s.client)
	marks := s.leaveNames(first)
	s.same("the claims", []string{"data-row-0", "data-row-1", "data-row-2"}, slices.Sorted(maps.Keys(claims)))

	s.changeOrdinals("row", func(set *v1beta1.StatefulSet) {
		ordinalImage("1.10.3")(set)
		set.Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To[int32](1)
	})
	s.same("the order of the update above the partition", []string{"row-2", "row-1"}, order())
	s.changeOrdinals("row", func(set *v1beta1.StatefulSet) { set.Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To[int32](0) })
	s.same("the order of the rest of the update", []string{"row-0"}, order())
	end()
	s.untilGone("row", first...)
	s.same("the images", map[string]int{"1.10.3": 3}, tags(s.podsNow("row")))
	s.same("the claims", claims, s.claims(s.client))
	s.same("the marks", marks, s.names(s.podsNow("row")))

	// Claims are kept when pods are taken away, and found again.
	s.changeOrdinals("row", func(set *v1beta1.StatefulSet) { set.Spec.Replicas = ptr.To[int32](1) })
	s.same("the claims after fewer pods are wanted", claims, s.claims(s.client))
	s.changeOrdinals("row", func(set *v1beta1.StatefulSet) { set.Spec.Replicas = ptr.To[int32](3) })
	s.same("the marks after more pods are wanted again", marks, s.names(s.podsNow("row")))
}

// births watches in which order the pods of a workload come. The function that it returns says that, since it was last asked.
func (s *space) births(owner string) func() []string {
	s.Helper()
	names := make(chan string, 100)
	s.handle(&corev1.Pod{}, toolscache.ResourceEventHandlerFuncs{AddFunc: func(object any) {
		if pod, isPod := object.(*corev1.Pod); isPod && ownedBy(pod, owner) {
			names <- pod.Name
		}
	}})
	return func() []string {
		var all []string
		for {
			select {
			case name := <-names:
				all = append(all, name)
			default:
				return all
			}
		}
	}
}

// ordinalsInPlace updates pods with volumes in place, two at a time.
func ordinalsInPlace(s *space) {
	s.watch(&v1beta1.StatefulSet{}, &corev1.PersistentVolumeClaim{})
	s.beginOrdinals("seats", 4, inPlaceInParallel)
	s.untilOrdinals("seats")
	before, claims := s.podsNow("seats"), s.claims(s.client)
	marks := s.leaveNames(before)
	end := s.guard("seats", serving(2), existing(4))
	s.changeOrdinals("seats", ordinalImage("1.10.3"))
	end()
	after := s.podsNow("seats")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	s.restartedOnce(after)
	s.same("the claims", claims, s.claims(s.client))
	s.same("the marks", marks, s.names(after))
}

// brokenOrdinal gives pods that come one after the other an image that does not exist, and then a good one.
func brokenOrdinal(s *space) {
	s.watch(&v1beta1.StatefulSet{})
	s.beginOrdinals("stuck", 2)
	s.untilOrdinals("stuck")
	before := s.podsNow("stuck")
	end := s.guard("stuck", oneByOne, changed("no-such-tag", 1))
	edit(s, "stuck", &v1beta1.StatefulSet{}, ordinalImage("no-such-tag"))
	s.until("the last pod cannot pull its image", func() string {
		for _, pod := range s.pods("stuck") {
			waiting := containerOf(pod, app).State.Waiting
			if pod.Name == "stuck-1" && waiting != nil && strings.Contains(waiting.Reason, "ImagePull") {
				return ""
			}
		}
		return s.describeOrdinals("stuck")
	})
	s.changeOrdinals("stuck", ordinalImage("1.10.3"))
	end()
	s.untilGone("stuck", before...)
	s.same("the images", map[string]int{"1.10.3": 2}, tags(s.podsNow("stuck")))
}

// claimsGrow asks for larger volumes together with another image.
func claimsGrow(s *space) {
	s.watch(&v1beta1.StatefulSet{}, &corev1.PersistentVolumeClaim{})
	s.beginOrdinals("grow", 2, inPlaceInParallel, func(set *v1beta1.StatefulSet) {
		set.Spec.VolumeClaimUpdateStrategy.Type = v1beta1.OnPodRollingUpdateVolumeClaimUpdateStrategyType
	})
	s.untilOrdinals("grow")
	before, claims := s.podsNow("grow"), s.claims(s.client)
	marks := s.leaveNames(before)
	s.changeOrdinals("grow", func(set *v1beta1.StatefulSet) {
		ordinalImage("1.10.3")(set)
		set.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("2Mi")
	})
	s.until("the claims have grown", func() string {
		volumes := s.ordinals("grow").Status.VolumeClaims
		if len(volumes) != 1 || volumes[0].CompatibleReplicas != 2 || volumes[0].CompatibleReadyReplicas != 2 {
			return s.describeOrdinals("grow")
		}
		return ""
	})
	var list corev1.PersistentVolumeClaimList
	if err := s.client.List(s.Context(), &list, client.InNamespace(s.name)); err != nil {
		s.Fatal(err)
	}
	for _, claim := range list.Items {
		if has := claim.Status.Capacity[corev1.ResourceStorage]; has.Cmp(resource.MustParse("2Mi")) != 0 {
			s.Errorf("the claim %s has %s and not 2Mi", claim.Name, has.String())
		}
	}
	after := s.podsNow("grow")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	s.same("the claims", claims, s.claims(s.client))
	s.same("the marks", marks, s.names(after))
}
