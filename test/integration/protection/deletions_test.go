package protection

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"kruise.io/kruise/manager/protection"
)

const (
	denied    = `admission webhook "vdeletion.kb.io" denied the request: `
	always    = `is protected by its label policy.kruise.io/delete-protection=Always: take the label off first`
	cascading = `is protected by its label policy.kruise.io/delete-protection=Cascading while it has `
)

// workload is a workload of the groups apps and apps.kruise.io, with a label and a number of replicas.
func workload(version, kind, label, spec string) string {
	return fmt.Sprintf(`{apiVersion: %s, kind: %s, metadata: {name: web, labels: {policy.kruise.io/delete-protection: %s}}, spec: {%s
		selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: 'demo:1'}]}}}}`, version, kind, label, spec)
}

func TestWorkloads(t *testing.T) {
	managed(t, server, everything())
	for name, tc := range map[string]struct{ object, want string }{
		"a Deployment, always": {workload("apps/v1", "Deployment", "Always", "replicas: 0,"),
			"Deployment NS/web " + always + " (kubectl label deployments.apps web -n NS policy.kruise.io/delete-protection-)"},
		"a Deployment with replicas": {workload("apps/v1", "Deployment", "Cascading", "replicas: 2,"),
			"Deployment NS/web " + cascading + "2 replicas: scale it to 0 first, or take the label off (kubectl label deployments.apps web -n NS policy.kruise.io/delete-protection-)"},
		"a Deployment without replicas":  {workload("apps/v1", "Deployment", "Cascading", "replicas: 0,"), ""},
		"a Deployment with another word": {workload("apps/v1", "Deployment", "cascading", ""), ""},
		"a ReplicaSet with a replica": {workload("apps/v1", "ReplicaSet", "Cascading", ""),
			"ReplicaSet NS/web " + cascading + "1 replica: scale it to 0 first, or take the label off (kubectl label replicasets.apps web -n NS policy.kruise.io/delete-protection-)"},
		"a native StatefulSet, always": {workload("apps/v1", "StatefulSet", "Always", ""),
			"StatefulSet NS/web " + always + " (kubectl label statefulsets.apps web -n NS policy.kruise.io/delete-protection-)"},
		"a native StatefulSet without replicas": {workload("apps/v1", "StatefulSet", "Cascading", "replicas: 0,"), ""},
		"an Advanced StatefulSet with replicas": {workload("apps.kruise.io/v1beta1", "StatefulSet", "Cascading", "replicas: 3,"),
			"StatefulSet NS/web " + cascading + "3 replicas: scale it to 0 first, or take the label off (kubectl label statefulsets.apps.kruise.io web -n NS policy.kruise.io/delete-protection-)"},
		"a CloneSet with replicas": {workload("apps.kruise.io/v1beta1", "CloneSet", "Cascading", "replicas: 3,"),
			"CloneSet NS/web " + cascading + "3 replicas: scale it to 0 first, or take the label off (kubectl label clonesets.apps.kruise.io web -n NS policy.kruise.io/delete-protection-)"},
		"a CloneSet of the older version, always": {workload("apps.kruise.io/v1alpha1", "CloneSet", "Always", "replicas: 0,"),
			"CloneSet NS/web " + always + " (kubectl label clonesets.apps.kruise.io web -n NS policy.kruise.io/delete-protection-)"},
		"a CloneSet without replicas": {workload("apps.kruise.io/v1alpha1", "CloneSet", "Cascading", "replicas: 0,"), ""},
		"a DaemonSet on no node":      {workload("apps.kruise.io/v1beta1", "DaemonSet", "Cascading", ""), ""},
		"a DaemonSet of the older version, always": {workload("apps.kruise.io/v1alpha1", "DaemonSet", "Always", ""),
			"DaemonSet NS/web " + always + " (kubectl label daemonsets.apps.kruise.io web -n NS policy.kruise.io/delete-protection-)"},
		"a Service, always": {`{apiVersion: v1, kind: Service, metadata: {name: web, labels: {policy.kruise.io/delete-protection: Always}}, spec: {ports: [{port: 80}]}}`,
			"Service NS/web " + always + " (kubectl label services web -n NS policy.kruise.io/delete-protection-)"},
		"a Service has nothing that goes with it": {`{apiVersion: v1, kind: Service, metadata: {name: web, labels: {policy.kruise.io/delete-protection: Cascading}}, spec: {ports: [{port: 80}]}}`, ""},
		"an Ingress, always": {`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, labels: {policy.kruise.io/delete-protection: Always}}, spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}}`,
			"Ingress NS/web " + always + " (kubectl label ingresses.networking.k8s.io web -n NS policy.kruise.io/delete-protection-)"},
		"a kind that is not protected": {`{apiVersion: v1, kind: ConfigMap, metadata: {name: web, labels: {policy.kruise.io/delete-protection: Always}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := server.Namespace(t)
			o := create(t, namespace, tc.object)
			got := deleted(t, o)
			if tc.want == "" {
				if got != "" {
					t.Fatalf("it is refused: %s", got)
				}
				return
			}
			if want := denied + strings.ReplaceAll(tc.want, "NS", namespace); got != want {
				t.Fatalf("message\n%s\nwant\n%s", got, want)
			}
			change(t, o, unlabel, false)
			if got := deleted(t, o); got != "" {
				t.Errorf("without the label it is refused: %s", got)
			}
		})
	}
}

func TestASidecarSetIsProtectedWhileItStandsInPods(t *testing.T) {
	managed(t, server, everything())
	const set = `{apiVersion: %s, kind: SidecarSet, metadata: {name: %s, labels: {policy.kruise.io/delete-protection: %s}}, spec: {
		selector: {matchLabels: {app: web}}, containers: [{name: %[2]s, image: 'side:1'}]}}`
	unlabelled := func(name string) string {
		return "(kubectl label sidecarsets.apps.kruise.io " + name + " policy.kruise.io/delete-protection-)"
	}
	o := create(t, "", fmt.Sprintf(set, "apps.kruise.io/v1beta1", "mesh", "Cascading"))
	matched := func(n int) {
		change(t, o, fmt.Sprintf(`{status: {matchedPods: %d, readyPods: 0, updatedPods: 0}}`, n), true)
	}
	matched(2)
	want := denied + "SidecarSet mesh " + cascading + "2 pods: have it select no pod first, or take the label off " + unlabelled("mesh")
	if got := deleted(t, o); got != want {
		t.Errorf("message\n%s\nwant\n%s", got, want)
	}
	matched(0)
	if got := deleted(t, o); got != "" {
		t.Errorf("without pods it is refused: %s", got)
	}
	kept := create(t, "", fmt.Sprintf(set, "apps.kruise.io/v1alpha1", "log", "Always"))
	if got, want := deleted(t, kept), denied+"SidecarSet log "+always+" "+unlabelled("log"); got != want {
		t.Errorf("message\n%s\nwant\n%s", got, want)
	}
	change(t, kept, unlabel, false)
	if got := deleted(t, kept); got != "" {
		t.Errorf("without the label it is refused: %s", got)
	}
}

func TestADaemonSetIsProtectedWhileItHasPods(t *testing.T) {
	managed(t, server, everything())
	namespace := server.Namespace(t)
	o := create(t, namespace, workload("apps.kruise.io/v1beta1", "DaemonSet", "Cascading", ""))
	status := func(n int) {
		change(t, o, fmt.Sprintf(`{status: {currentNumberScheduled: %d, desiredNumberScheduled: %d, numberMisscheduled: 0, numberReady: 0, updatedNumberScheduled: 0, daemonSetHash: x}}`, n, n), true)
	}
	status(2)
	want := denied + "DaemonSet " + namespace + "/web " + cascading + "2 pods: have it select no node first, or take the label off (kubectl label daemonsets.apps.kruise.io web -n " +
		namespace + " policy.kruise.io/delete-protection-)"
	if got := deleted(t, o); got != want {
		t.Errorf("message\n%s\nwant\n%s", got, want)
	}
	status(0)
	if got := deleted(t, o); got != "" {
		t.Errorf("without pods it is refused: %s", got)
	}
}

// space makes a namespace with the label and returns it.
func space(t *testing.T, label string) (string, *unstructured.Unstructured) {
	t.Helper()
	name := server.Namespace(t)
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("v1")
	o.SetKind("Namespace")
	o.SetName(name)
	change(t, o, `{metadata: {labels: {policy.kruise.io/delete-protection: `+label+`}}}`, false)
	return name, o
}

func TestNamespaces(t *testing.T) {
	managed(t, server, everything())
	const pod = `{apiVersion: v1, kind: Pod, metadata: {name: web%s}, spec: {containers: [{name: main, image: 'demo:1'}]}}`
	const claim = `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}`
	remedy := func(name string) string {
		return ": remove them first, or take the label off (kubectl label namespaces " + name + " policy.kruise.io/delete-protection-)"
	}
	t.Run("always, although it is empty", func(t *testing.T) {
		name, ns := space(t, "Always")
		if got, want := deleted(t, ns), denied+"Namespace "+name+" "+always+" (kubectl label namespaces "+name+" policy.kruise.io/delete-protection-)"; got != want {
			t.Errorf("message\n%s\nwant\n%s", got, want)
		}
	})
	t.Run("while it has pods that have not ended or bound claims", func(t *testing.T) {
		name, ns := space(t, "Cascading")
		running := create(t, name, fmt.Sprintf(pod, "-1"))
		ended := create(t, name, fmt.Sprintf(pod, "-2"))
		change(t, ended, `{status: {phase: Succeeded}}`, true)
		bound := create(t, name, claim)
		change(t, bound, `{status: {phase: Bound}}`, true)
		if got, want := deleted(t, ns), denied+"Namespace "+name+" "+cascading+"1 active pod and 1 bound volume claim"+remedy(name); got != want {
			t.Errorf("message\n%s\nwant\n%s", got, want)
		}
		if err := server.Client.Delete(t.Context(), running, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
		if got, want := deleted(t, ns), denied+"Namespace "+name+" "+cascading+"1 bound volume claim"+remedy(name); got != want {
			t.Errorf("message\n%s\nwant\n%s", got, want)
		}
		change(t, bound, `{status: {phase: Lost}}`, true)
		if got := deleted(t, ns); got != "" {
			t.Errorf("with nothing but a pod that has ended and a claim without a volume: %s", got)
		}
	})
	t.Run("pods that are being deleted do not count", func(t *testing.T) {
		name, ns := space(t, "Cascading")
		held := create(t, name, `{apiVersion: v1, kind: Pod, metadata: {name: held, finalizers: [example.org/hold]}, spec: {containers: [{name: main, image: 'demo:1'}]}}`)
		if got := deleted(t, held); got != "" {
			t.Fatal(got)
		}
		if got := deleted(t, ns); got != "" {
			t.Errorf("it is refused: %s", got)
		}
	})
	t.Run("however many pods there are", func(t *testing.T) {
		name, ns := space(t, "Cascading")
		for i := range 501 {
			create(t, name, fmt.Sprintf(pod, fmt.Sprint("-", i)))
		}
		if got, want := deleted(t, ns), denied+"Namespace "+name+" "+cascading+"at least 500 active pods"+remedy(name); got != want {
			t.Errorf("message\n%s\nwant\n%s", got, want)
		}
	})
}

const definition = `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: %[1]ss.%[2]s, labels: {policy.kruise.io/delete-protection: %[3]s}},
	spec: {group: %[2]s, scope: Namespaced, names: {plural: %[1]ss, singular: %[1]s, kind: Thing%[1]s, listKind: Thing%[1]sList}, versions: [
		{name: v1alpha1, served: true, storage: false, schema: {openAPIV3Schema: {type: object}}},
		{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}`

func TestDefinitions(t *testing.T) {
	stop := managed(t, server, everything())
	namespace := server.Namespace(t)
	remedy := func(name string) string {
		return ": remove them first, or take the label off (kubectl label customresourcedefinitions.apiextensions.k8s.io " + name + " policy.kruise.io/delete-protection-)"
	}
	empty := create(t, "", fmt.Sprintf(definition, "nothing", "example.org", "Cascading"))
	if got := deleted(t, empty); got != "" {
		t.Errorf("one that has no objects is refused: %s", got)
	}
	used := create(t, "", fmt.Sprintf(definition, "widget", "example.org", "Cascading"))
	thing := create(t, namespace, `{apiVersion: example.org/v1, kind: Thingwidget, metadata: {name: one}}`)
	create(t, namespace, `{apiVersion: example.org/v1, kind: Thingwidget, metadata: {name: two, finalizers: [example.org/hold]}}`)
	if got, want := deleted(t, used), denied+"CustomResourceDefinition widgets.example.org "+cascading+"2 objects"+remedy("widgets.example.org"); got != want {
		t.Errorf("message\n%s\nwant\n%s", got, want)
	}
	two := thing.DeepCopy()
	two.SetName("two")
	if got := deleted(t, thing) + deleted(t, two); got != "" {
		t.Fatal(got)
	}
	stop()

	managed(t, server, protection.Options{Enabled: true})
	const off = "CustomResourceDefinition widgets.example.org has the label policy.kruise.io/delete-protection=Cascading, and it is not known what would go with it: " +
		"the feature gate DeletionProtectionForCRDCascadingGate of kruise-manager is not enabled; " +
		"take the label off (kubectl label customresourcedefinitions.apiextensions.k8s.io widgets.example.org policy.kruise.io/delete-protection-) to delete it all the same"
	if got, want := deleted(t, used), denied+off; got != want {
		t.Errorf("with the gate off\n%s\nwant\n%s", got, want)
	}
	kept := create(t, "", fmt.Sprintf(definition, "kept", "example.org", "Always"))
	if got, want := deleted(t, kept), denied+"CustomResourceDefinition kepts.example.org "+always+" (kubectl label customresourcedefinitions.apiextensions.k8s.io kepts.example.org policy.kruise.io/delete-protection-)"; got != want {
		t.Errorf("message\n%s\nwant\n%s", got, want)
	}
}

func TestObjectsThatAreBeingDeletedDoNotCount(t *testing.T) {
	managed(t, server, everything())
	namespace := server.Namespace(t)
	used := create(t, "", fmt.Sprintf(definition, "gadget", "example.org", "Cascading"))
	// More than are looked at in one go, so that the last one is found behind them.
	var last *unstructured.Unstructured
	for i := range 25 {
		last = create(t, namespace, fmt.Sprintf(`{apiVersion: example.org/v1, kind: Thinggadget, metadata: {name: held-%02d, finalizers: [example.org/hold]}}`, i))
		if got := deleted(t, last); i < 24 && got != "" {
			t.Fatal(got)
		}
	}
	if got := deleted(t, used); got != "" {
		t.Errorf("with nothing but objects that are being deleted: %s", got)
	}
}

// What counts is what the chart grants: a group that was not named cannot be counted, and is not deleted by mistake.
func TestWithTheRolesOfTheChart(t *testing.T) {
	const user = "system:serviceaccount:kruise-system:kruise-manager"
	create(t, "", `{apiVersion: v1, kind: Namespace, metadata: {name: kruise-daemon-config}}`)
	if err := server.Grant(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	managed(t, server.As(user), everything())
	used := create(t, "", fmt.Sprintf(definition, "secretive", "example.com", "Cascading"))
	create(t, server.Namespace(t), `{apiVersion: example.com/v1, kind: Thingsecretive, metadata: {name: one}}`)
	got := deleted(t, used)
	if want := "kruise-manager may not list secretives.example.com: name the group in deletionProtection.groups of the Helm chart"; !strings.Contains(got, want) {
		t.Errorf("message\n%s\nwant it to say\n%s", got, want)
	}
	name, ns := space(t, "Cascading")
	create(t, name, `{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: main, image: 'demo:1'}]}}`)
	if got, want := deleted(t, ns), denied+"Namespace "+name+" "+cascading+"1 active pod: "; !strings.HasPrefix(got, want) {
		t.Errorf("message\n%s\nwant\n%s", got, want)
	}
}

func TestOnlyWhatHasTheLabelWaitsForAManager(t *testing.T) {
	plain := strings.ReplaceAll(workload("apps/v1", "Deployment", "Always", ""), "labels: {policy.kruise.io/delete-protection: Always}", "labels: {}")
	made := func(text string) *unstructured.Unstructured { return create(t, server.Namespace(t), text) }
	stop := managed(t, server, everything())
	stop()
	if got := deleted(t, made(plain)); got != "" {
		t.Errorf("one without the label is refused while no manager runs: %s", got)
	}
	o := made(workload("apps/v1", "Deployment", "Cascading", "replicas: 0,"))
	if got, want := deleted(t, o), `failed calling webhook "vdeletion.kb.io"`; !strings.Contains(got, want) {
		t.Errorf("one with the label, while no manager runs: %s", got)
	}
	change(t, o, unlabel, false)
	if got := deleted(t, o); got != "" {
		t.Errorf("the label was taken off, and it is refused while no manager runs: %s", got)
	}
	own := create(t, "kruise-system", workload("apps/v1", "Deployment", "Always", ""))
	if got := deleted(t, own); got != "" {
		t.Errorf("one in the manager's own namespace is refused while no manager runs: %s", got)
	}
}

func TestWithTheGateOffNothingIsProtected(t *testing.T) {
	managed(t, server, protection.Options{})
	if got := deleted(t, create(t, server.Namespace(t), workload("apps/v1", "Deployment", "Always", ""))); got != "" {
		t.Errorf("it is refused: %s", got)
	}
	if _, ns := space(t, "Always"); deleted(t, ns) != "" {
		t.Errorf("the namespace is refused")
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	managed(t, server, everything())
	namespace := server.Namespace(t)
	o := create(t, namespace, workload("apps/v1", "Deployment", "Always", ""))
	for range 2 {
		if deleted(t, o) == "" {
			t.Fatal("it is not refused")
		}
	}
	if err := server.Client.Delete(t.Context(), o, client.DryRunAll); err == nil {
		t.Error("what is not meant is let pass")
	}
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if labels := m.GetLabel(); family.GetName() == "workload_deletion_protection" && labels[0].GetValue() == "Deployment_"+namespace+"_web" {
				if n, user := m.GetCounter().GetValue(), labels[1].GetValue(); n != 2 || user != "admin" {
					t.Errorf("%v refusals of %q, want those 2 that were meant", n, user)
				}
				return
			}
		}
	}
	t.Error("nothing is counted")
}
