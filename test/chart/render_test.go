package chart_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/plan/protection"
)

func TestTheChartIsAcceptedByHelm(t *testing.T) {
	if out, err := newHelm(t).run(t, "lint", "--strict", chartDir); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheManagerHasNoPrivilegeOnItsNode(t *testing.T) {
	deployment := find[appsv1.Deployment](t, newHelm(t).render(t, namespace), "Deployment", "kruise-controller-manager")
	pod := deployment.Spec.Template.Spec
	if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 || len(pod.Volumes) != 0 {
		t.Fatalf("want one container and no volume, got %+v", pod)
	}
	yes, no, user := true, false, int64(65532)
	if diff := cmp.Diff(&corev1.SecurityContext{
		AllowPrivilegeEscalation: &no,
		ReadOnlyRootFilesystem:   &yes,
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}, pod.Containers[0].SecurityContext); diff != "" {
		t.Errorf("the container (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&corev1.PodSecurityContext{
		RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user,
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}, pod.SecurityContext); diff != "" {
		t.Errorf("the pod (-want +got):\n%s", diff)
	}
	if pod.HostNetwork || pod.HostPID || pod.HostIPC {
		t.Error("the pod shares a namespace of its node")
	}
}

func TestAManagerIsReplacedOnlyByOneThatIsReady(t *testing.T) {
	deployment := find[appsv1.Deployment](t, newHelm(t).render(t, namespace), "Deployment", "kruise-controller-manager")
	if *deployment.Spec.Replicas < 2 {
		t.Errorf("%d managers: the webhooks would be away while one is replaced", *deployment.Spec.Replicas)
	}
	if away := deployment.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue(); away != 0 {
		t.Errorf("maxUnavailable is %d", away)
	}
	manager := deployment.Spec.Template.Spec.Containers[0]
	if manager.ReadinessProbe.HTTPGet.Path != "/readyz" || manager.LivenessProbe.HTTPGet.Path != "/healthz" {
		t.Errorf("probes %+v, %+v", manager.ReadinessProbe, manager.LivenessProbe)
	}
}

func TestAManagerIsLimitedToTheKindsThatAreNamed(t *testing.T) {
	h := newHelm(t)
	for values, want := range map[string]string{"manager.replicas=2": "", "manager.kinds={CloneSet,SidecarSet}": "CloneSet,SidecarSet"} {
		deployment := find[appsv1.Deployment](t, h.render(t, namespace, values), "Deployment", "kruise-controller-manager")
		got := ""
		for _, variable := range deployment.Spec.Template.Spec.Containers[0].Env {
			if variable.Name == "CUSTOM_RESOURCE_ENABLE" {
				got = variable.Value
			}
		}
		if got != want {
			t.Errorf("with %s it is limited to %q, want %q", values, got, want)
		}
	}
}

// Some control planes reach nodes and not pods: the manager is then on the network of its node, at a port that is free there.
func TestAManagerCanBeReachedAtAPortOfItsNode(t *testing.T) {
	objects := newHelm(t).render(t, namespace, "manager.hostNetwork=true", "manager.webhook.port=30443")
	deployment := find[appsv1.Deployment](t, objects, "Deployment", "kruise-controller-manager")
	pod := deployment.Spec.Template.Spec
	if !pod.HostNetwork || pod.DNSPolicy != corev1.DNSClusterFirstWithHostNet {
		t.Errorf("the pod is on the network of its node: %t, and finds names by %s", pod.HostNetwork, pod.DNSPolicy)
	}
	if !slices.Contains(pod.Containers[0].Args, "--webhook-port=30443") || !slices.Contains(pod.Containers[0].Ports, corev1.ContainerPort{Name: "webhook", ContainerPort: 30443, Protocol: corev1.ProtocolTCP}) {
		t.Errorf("arguments %q, ports %+v", pod.Containers[0].Args, pod.Containers[0].Ports)
	}
	// Two managers cannot share a port of a node.
	if surge := deployment.Spec.Strategy.RollingUpdate.MaxSurge; surge.IntValue() != 1 {
		t.Errorf("maxSurge is %s", surge)
	}
	service := find[corev1.Service](t, objects, "Service", "kruise-webhook-service")
	if ports := service.Spec.Ports; len(ports) != 1 || ports[0].Port != 443 || ports[0].TargetPort.StrVal != "webhook" {
		t.Errorf("the API server comes in by %+v", ports)
	}
	for _, name := range []string{validatingName, mutatingName} {
		for _, object := range objects {
			if object.GetName() == name && strings.Contains(fmt.Sprint(object.Object), "30443") {
				t.Errorf("%s calls the port of the pod, and not the service", name)
			}
		}
	}
}

func TestManagersPreferDifferentNodesUnlessToldOtherwise(t *testing.T) {
	h := newHelm(t)
	const preferred = ".preferredDuringSchedulingIgnoredDuringExecution[0]"
	for name, test := range map[string]struct {
		values []string
		node   bool
		weight int32
	}{
		"by default":                  {nil, false, 100},
		"with a choice of nodes":      {[]string{"manager.affinity.nodeAffinity" + preferred + ".weight=1"}, true, 100},
		"with a choice of neighbours": {[]string{"manager.affinity.podAntiAffinity" + preferred + ".weight=7"}, false, 7},
	} {
		t.Run(name, func(t *testing.T) {
			deployment := find[appsv1.Deployment](t, h.render(t, namespace, test.values...), "Deployment", "kruise-controller-manager")
			affinity := deployment.Spec.Template.Spec.Affinity
			terms := affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution
			if len(terms) != 1 || terms[0].Weight != test.weight {
				t.Errorf("podAntiAffinity %+v, want one term of weight %d", terms, test.weight)
			}
			if got := affinity.NodeAffinity != nil; got != test.node {
				t.Errorf("nodeAffinity is there: %v, want %v", got, test.node)
			}
		})
	}
}

// The daemon reaches the sockets of the runtimes, which is as much as root on the node: so it gets nothing else.
func TestTheDaemonHasTheSocketsOfItsNodeAndNoOtherPrivilege(t *testing.T) {
	set := find[appsv1.DaemonSet](t, newHelm(t).render(t, namespace), "DaemonSet", "kruise-daemon")
	pod := set.Spec.Template.Spec
	if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 || len(pod.Volumes) != 1 || pod.Volumes[0].HostPath == nil || pod.Volumes[0].HostPath.Path != "/var/run" {
		t.Fatalf("want one container and the folder of the sockets, got %+v", pod)
	}
	if mounts := pod.Containers[0].VolumeMounts; len(mounts) != 1 || !mounts[0].ReadOnly || mounts[0].MountPath != "/hostvarrun" {
		t.Errorf("mounts %+v", mounts)
	}
	yes, no, user, group := true, false, int64(65532), int64(0)
	if diff := cmp.Diff(&corev1.SecurityContext{
		AllowPrivilegeEscalation: &no,
		ReadOnlyRootFilesystem:   &yes,
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}, pod.Containers[0].SecurityContext); diff != "" {
		t.Errorf("the container (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&corev1.PodSecurityContext{
		RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &group,
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}, pod.SecurityContext); diff != "" {
		t.Errorf("the pod (-want +got):\n%s", diff)
	}
	if pod.HostNetwork || pod.HostPID || pod.HostIPC {
		t.Error("the pod shares a namespace of its node")
	}
	if surge := set.Spec.UpdateStrategy.RollingUpdate.MaxSurge; surge == nil || surge.IntValue() != 0 {
		t.Errorf("maxSurge is %v: two daemons would work on one node", surge)
	}
}

func TestTheDaemonAsksCredentialPluginsOfItsNodeWhereThatIsWanted(t *testing.T) {
	h := newHelm(t)
	render := func(values ...string) (corev1.PodSpec, corev1.Container) {
		pod := find[appsv1.DaemonSet](t, h.render(t, namespace, values...), "DaemonSet", "kruise-daemon").Spec.Template.Spec
		return pod, pod.Containers[0]
	}
	for _, arg := range func() []string { _, c := render(); return c.Args }() {
		if strings.HasPrefix(arg, "--plugin-") {
			t.Errorf("%s though nobody wants plugins", arg)
		}
	}
	pod, daemon := render("daemon.credentialProvider.enabled=true", "daemon.credentialProvider.configMap=mine", "daemon.credentialProvider.hostPath=/opt/plugins",
		"daemon.credentialProvider.files[0].hostPath=/opt/keys", "daemon.credentialProvider.files[0].mountPath=/keys")
	mounted := map[string]string{}
	for _, m := range daemon.VolumeMounts {
		if i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }); i < 0 || !m.ReadOnly {
			t.Errorf("mount %+v: want a volume that is only read", m)
		} else if v := pod.Volumes[i]; v.ConfigMap != nil {
			mounted[m.MountPath] = "ConfigMap " + v.ConfigMap.Name
		} else {
			mounted[m.MountPath] = v.HostPath.Path
		}
	}
	if diff := cmp.Diff(map[string]string{"/hostvarrun": "/var/run", "/kruise-config": "ConfigMap mine", "/kruise-plugins": "/opt/plugins", "/keys": "/opt/keys"}, mounted); diff != "" {
		t.Errorf("what is mounted (-want +got):\n%s", diff)
	}
	for _, want := range []string{"--plugin-config-file=/kruise-config/CredentialProviderPlugin.yaml", "--plugin-bin-dir=/kruise-plugins"} {
		if !slices.Contains(daemon.Args, want) {
			t.Errorf("%s is not among %q", want, daemon.Args)
		}
	}
}

func TestTheDaemonMayDoNoMoreThanItMust(t *testing.T) {
	objects := newHelm(t).render(t, namespace)
	for _, rule := range find[rbacv1.ClusterRole](t, objects, "ClusterRole", "kruise-daemon-role").Rules {
		for _, words := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs} {
			if slices.Contains(words, "*") {
				t.Errorf("a rule with a wildcard: %v", rule)
			}
		}
		for _, resource := range rule.Resources {
			reads := !slices.ContainsFunc(rule.Verbs, func(verb string) bool { return !slices.Contains([]string{"get", "list", "watch"}, verb) })
			if status := strings.HasSuffix(resource, "/status"); resource != "events" && !reads && (!status || !slices.Equal(rule.Verbs, []string{"patch"})) {
				t.Errorf("a rule that writes more than a status: %v", rule)
			}
			if resource == "secrets" || resource == "configmaps" {
				t.Errorf("a rule on %s of all namespaces: %v", resource, rule)
			}
		}
	}
	policy := find[admissionregistrationv1.ValidatingAdmissionPolicy](t, objects, "ValidatingAdmissionPolicy", "kruise-daemon")
	if *policy.Spec.FailurePolicy != admissionregistrationv1.Fail || !strings.Contains(policy.Spec.MatchConditions[0].Expression, "'system:serviceaccount:"+namespace+":kruise-daemon'") {
		t.Errorf("%+v", policy.Spec)
	}
	binding := find[admissionregistrationv1.ValidatingAdmissionPolicyBinding](t, objects, "ValidatingAdmissionPolicyBinding", "kruise-daemon")
	if !slices.Equal(binding.Spec.ValidationActions, []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}) {
		t.Errorf("%+v", binding.Spec)
	}
}

func TestWithoutTheDaemonNothingOfItIsInstalled(t *testing.T) {
	for _, object := range newHelm(t).render(t, namespace, "daemon.enabled=false", "networkPolicy.enabled=true") {
		if strings.HasPrefix(object.GetName(), "kruise-daemon") && object.GetName() != ofNodes { // whose secrets are the manager's
			t.Errorf("%s %s", object.GetKind(), object.GetName())
		}
	}
}

// What reads or writes more than the manager's work asks for would make a stolen token of the manager worth more.
func TestTheManagerMayDoNoMoreThanItMust(t *testing.T) {
	objects := newHelm(t).render(t, namespace)
	cluster := find[rbacv1.ClusterRole](t, objects, "ClusterRole", "kruise-manager-role").Rules
	own := find[rbacv1.Role](t, objects, "Role", "kruise-manager-role").Rules
	for _, rule := range slices.Concat(cluster, own) {
		for _, words := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs} {
			if slices.Contains(words, "*") {
				t.Errorf("a rule with a wildcard: %v", rule)
			}
		}
		for _, verb := range []string{"escalate", "bind", "impersonate", "deletecollection"} {
			if slices.Contains(rule.Verbs, verb) {
				t.Errorf("a rule with the verb %s: %v", verb, rule)
			}
		}
		named := len(rule.ResourceNames) > 0
		for _, resource := range rule.Resources {
			switch resource {
			case "mutatingwebhookconfigurations", "validatingwebhookconfigurations", "customresourcedefinitions":
				if !named {
					t.Errorf("a rule on all %s: %v", resource, rule)
				}
			case "secrets", "leases":
				if onlyCreates := slices.Equal(rule.Verbs, []string{"create"}); !named && !onlyCreates {
					t.Errorf("a rule on all %s: %v", resource, rule)
				}
			case "nodes", "namespaces": // read by sets that spread pods, and that select them by the labels of namespaces
				if !slices.Equal(rule.Verbs, []string{"get", "list", "watch"}) {
					t.Errorf("a rule that changes %s: %v", resource, rule)
				}
			case "serviceaccounts", "roles", "rolebindings", "clusterroles", "clusterrolebindings", "pods/exec":
				t.Errorf("a rule on %s: %v", resource, rule)
			}
		}
	}
	for _, rule := range cluster {
		for _, resource := range []string{"secrets", "leases"} {
			if slices.Contains(rule.Resources, resource) {
				t.Errorf("a rule on %s of all namespaces: %v", resource, rule)
			}
		}
		// The barriers that order the containers of a pod are written without being read.
		if slices.Contains(rule.Resources, "configmaps") && !slices.Equal(rule.Verbs, []string{"create", "patch"}) {
			t.Errorf("a rule that reads the configmaps of all namespaces: %v", rule)
		}
	}
}

// A budget may be about pods of any workload that can be scaled: how many it is to have is all that is read of it.
func TestOfWorkloadsOfOthersTheManagerReadsScalesAlone(t *testing.T) {
	for set, groups := range map[string][]string{"": {"", "apps", "*"}, "budgets.scaleGroups={argoproj.io}": {"", "apps", "argoproj.io"}} {
		var values []string
		if set != "" {
			values = append(values, set)
		}
		rules := find[rbacv1.ClusterRole](t, newHelm(t).render(t, namespace, values...), "ClusterRole", "kruise-manager-scales").Rules
		want := rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: groups, Resources: []string{"*/scale"}}
		if len(rules) != 1 || !slices.Equal(rules[0].Verbs, want.Verbs) || !slices.Equal(rules[0].APIGroups, want.APIGroups) || !slices.Equal(rules[0].Resources, want.Resources) {
			t.Errorf("%q: the rules are %v, want %v", set, rules, want)
		}
	}
}

// Workloads of others are read where they are named, to send their pods back to their nodes, and not at all otherwise.
func TestWorkloadsOfOthersAreReadWhereTheyAreNamed(t *testing.T) {
	const name = "kruise-manager-persistent-pod-states"
	for _, object := range newHelm(t).render(t, namespace) {
		if object.GetName() == name {
			t.Errorf("by default there is a %s", object.GetKind())
		}
	}
	objects := newHelm(t).render(t, namespace, "persistentPodStates.workloads[0].group=games.example.org", "persistentPodStates.workloads[0].resource=gamesets")
	rules := find[rbacv1.ClusterRole](t, objects, "ClusterRole", name).Rules
	want := []rbacv1.PolicyRule{{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{"games.example.org"}, Resources: []string{"gamesets"}}}
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if subjects := find[rbacv1.ClusterRoleBinding](t, objects, "ClusterRoleBinding", name).Subjects; len(subjects) != 1 || subjects[0].Name != "kruise-manager" {
		t.Errorf("bound to %v", subjects)
	}
}

func TestTheWebhooksAreCalledForOurOwnKindsOnly(t *testing.T) {
	objects := newHelm(t).render(t, namespace)
	mutating := find[admissionregistrationv1.MutatingWebhookConfiguration](t, objects, "MutatingWebhookConfiguration", "kruise-mutating-webhook-configuration")
	validating := find[admissionregistrationv1.ValidatingWebhookConfiguration](t, objects, "ValidatingWebhookConfiguration", "kruise-validating-webhook-configuration")
	rules := map[string][]admissionregistrationv1.RuleWithOperations{}
	clients := map[string]admissionregistrationv1.WebhookClientConfig{}
	for _, webhook := range mutating.Webhooks {
		rules[webhook.Name], clients[webhook.Name] = webhook.Rules, webhook.ClientConfig
	}
	for _, webhook := range validating.Webhooks {
		rules[webhook.Name], clients[webhook.Name] = webhook.Rules, webhook.ClientConfig
	}
	if len(rules) == 0 {
		t.Fatal("no webhooks")
	}
	for name, rules := range rules {
		for _, rule := range rules {
			for _, group := range rule.APIGroups {
				if !strings.HasSuffix(group, ".kruise.io") {
					t.Errorf("%s is called for the group %q", name, group)
				}
			}
		}
		if len(clients[name].CABundle) > 0 {
			t.Errorf("%s has a CA from the chart: an upgrade would take away the manager's", name)
		}
	}
}

// A deletion waits for the manager only where the label says so, and only while the gate is on.
func TestOnlyDeletionsOfWhatIsProtectedAreSentToTheManager(t *testing.T) {
	h := newHelm(t)
	asked := func(gates string) *admissionregistrationv1.ValidatingWebhook {
		t.Helper()
		c := find[admissionregistrationv1.ValidatingWebhookConfiguration](t, h.render(t, namespace, "featureGates="+strings.ReplaceAll(gates, ",", `\,`)),
			"ValidatingWebhookConfiguration", "kruise-validating-webhook-configuration")
		for i := range c.Webhooks {
			if c.Webhooks[i].Name == "vdeletion.kb.io" {
				return &c.Webhooks[i]
			}
		}
		return nil
	}
	for gates, want := range map[string]bool{
		"": false, "ResourcesDeletionProtection=false": false, "AllBeta=true,ResourcesDeletionProtection=false": false, "AllAlpha=true": false,
		"ResourcesDeletionProtection=true": true, "ImagePullJobGate=true,ResourcesDeletionProtection=true,CloneSetShortHash=true": true, "AllBeta=true": true,
	} {
		if got := asked(gates) != nil; got != want {
			t.Errorf("with the gates %q the webhook is there: %t", gates, got)
		}
	}
	w := asked("ResourcesDeletionProtection=true")
	if diff := cmp.Diff(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: "policy.kruise.io/delete-protection", Operator: metav1.LabelSelectorOpExists},
	}}, w.ObjectSelector); diff != "" {
		t.Errorf("the objects (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{"kube-system", "kube-public", namespace}},
	}}, w.NamespaceSelector); diff != "" {
		t.Errorf("the namespaces (-want +got):\n%s", diff)
	}
	var got, want []string
	for _, rule := range w.Rules {
		if !slices.Equal(rule.Operations, []admissionregistrationv1.OperationType{admissionregistrationv1.Delete}) {
			t.Errorf("it is called for %v", rule.Operations)
		}
		for _, resource := range rule.Resources {
			got = append(got, rule.APIGroups[0]+"/"+resource)
		}
	}
	for _, rule := range protection.Rules() {
		want = append(want, rule.Group+"/"+rule.Resource)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the kinds (-want +got):\n%s", diff)
	}
}

// Counting the objects of any kind takes the right to list them, which nobody has who does not need it.
func TestTheManagerMayListOnlyTheGroupsThatAreNamed(t *testing.T) {
	h := newHelm(t)
	const name = "kruise-manager-deletion-protection"
	for _, gate := range []string{"ResourcesDeletionProtection", "DeletionProtectionForCRDCascadingGate"} {
		for _, object := range h.render(t, namespace, "featureGates="+gate+"=true") {
			if object.GetName() == name {
				t.Errorf("a %s with the gate %s alone", object.GetKind(), gate)
			}
		}
	}
	gates := `featureGates=ResourcesDeletionProtection=true\,DeletionProtectionForCRDCascadingGate=true`
	role := find[rbacv1.ClusterRole](t, h.render(t, namespace, gates, "deletionProtection.groups={example.org}"), "ClusterRole", name)
	if diff := cmp.Diff([]rbacv1.PolicyRule{{APIGroups: []string{"example.org"}, Resources: []string{"*"}, Verbs: []string{"list"}}}, role.Rules); diff != "" {
		t.Errorf("the rules (-want +got):\n%s", diff)
	}
}

// ofNodes is the namespace from which nodes read, wherever the manager is.
const ofNodes = "kruise-daemon-config"

// The manager keeps the webhooks for pods. What the chart said of them would come back with each upgrade.
func TestTheChartSaysNothingOfPods(t *testing.T) {
	objects := newHelm(t).render(t, namespace)
	pods := find[admissionregistrationv1.MutatingWebhookConfiguration](t, objects, "MutatingWebhookConfiguration", "kruise-pod-mutating-webhook-configuration")
	if len(pods.Webhooks) > 0 {
		t.Errorf("webhooks from the chart: %+v", pods.Webhooks)
	}
	away := find[admissionregistrationv1.ValidatingWebhookConfiguration](t, objects, "ValidatingWebhookConfiguration", "kruise-pod-validating-webhook-configuration")
	if len(away.Webhooks) > 0 {
		t.Errorf("webhooks from the chart: %+v", away.Webhooks)
	}
}

func TestEveryObjectFollowsTheReleaseIntoItsNamespace(t *testing.T) {
	clusterWide := []string{
		"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "MutatingWebhookConfiguration",
		"ValidatingWebhookConfiguration", "FlowSchema", "PriorityLevelConfiguration", "Namespace",
		"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
	}
	for _, object := range newHelm(t).render(t, "elsewhere", "networkPolicy.enabled=true") {
		if object.GetNamespace() == ofNodes {
			continue
		}
		if want := !slices.Contains(clusterWide, object.GetKind()); want != (object.GetNamespace() == "elsewhere") {
			t.Errorf("%s %s is in the namespace %q", object.GetKind(), object.GetName(), object.GetNamespace())
		}
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), namespace) {
			t.Errorf("%s %s still speaks of %s", object.GetKind(), object.GetName(), namespace)
		}
	}
}

func TestTheChartCarriesTheGeneratedCRDsAndKeepsThem(t *testing.T) {
	h := newHelm(t)
	rendered := map[string]unstructured.Unstructured{}
	for _, object := range h.render(t, namespace) {
		if object.GetKind() == "CustomResourceDefinition" {
			rendered[object.GetName()] = object
		}
	}
	files, err := filepath.Glob(chartDir + "/files/crds/*.yaml")
	if err != nil || len(files) == 0 || len(files) != len(rendered) {
		t.Fatalf("%d files and %d rendered CRDs: %v", len(files), len(rendered), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]any
		if err := yaml.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		got := rendered[(&unstructured.Unstructured{Object: want}).GetName()]
		if diff := cmp.Diff(want["spec"], got.Object["spec"]); diff != "" {
			t.Errorf("%s (-file +rendered):\n%s", file, diff)
		}
		if got.GetAnnotations()["helm.sh/resource-policy"] != "keep" {
			t.Errorf("%s: helm uninstall would delete it, and with it every object of the kind", file)
		}
	}
	for _, object := range h.render(t, namespace, "crds.install=false") {
		if object.GetKind() == "CustomResourceDefinition" {
			t.Errorf("%s is rendered although CRDs are not wanted", object.GetName())
		}
	}
}

func TestValuesThatCannotWorkAreRefused(t *testing.T) {
	h := newHelm(t)
	for name, test := range map[string]struct{ set, want string }{
		"a name with a slip":                            {"manager.replica=2", "replica"},
		"a name with a slip at the top":                 {"featureGate=A=true", "featureGate"},
		"a webhook slower than the API server allows":   {"webhookConfiguration.timeoutSeconds=31", "timeoutSeconds"},
		"a webhook that never answers":                  {"webhookConfiguration.timeoutSeconds=0", "timeoutSeconds"},
		"a policy that does not exist":                  {"webhookConfiguration.failurePolicy.cloneset=Maybe", "cloneset"},
		"a policy for pods that does not exist":         {"webhookConfiguration.failurePolicy.pods.launch-priority=Maybe", "launch-priority"},
		"a group that is all of Kubernetes' own":        {"deletionProtection.groups={core}", "groups"},
		"a kind in small letters":                       {"manager.kinds={cloneset}", "kinds"},
		"a port that does not exist":                    {"manager.webhook.port=70000", "port"},
		"a log format that does not exist":              {"manager.log.format=xml", "format"},
		"a feature gate without a value":                {"featureGates=CloneSetShortHash", "featureGates"},
		"a digest that is none":                         {"manager.image.digest=latest", "digest"},
		"a folder of sockets that is none":              {"daemon.socketLocation=run", "socketLocation"},
		"a budget under which no node could be drained": {"podDisruptionBudget.maxUnavailable=0", "maxUnavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.run(t, "template", "kruise", chartDir, "--set", test.set)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want a refusal that names %s, got: %v", test.want, err)
			}
		})
	}
}

func TestADigestWinsOverATag(t *testing.T) {
	h := newHelm(t)
	digest := "sha256:" + strings.Repeat("0", 64)
	for want, values := range map[string][]string{
		"example.org/manager@" + digest: {"manager.image.repository=example.org/manager", "manager.image.tag=v1", "manager.image.digest=" + digest},
		"example.org/manager:v1":        {"manager.image.repository=example.org/manager", "manager.image.tag=v1"},
	} {
		deployment := find[appsv1.Deployment](t, h.render(t, namespace, values...), "Deployment", "kruise-controller-manager")
		if got := deployment.Spec.Template.Spec.Containers[0].Image; got != want {
			t.Errorf("image %s, want %s", got, want)
		}
	}
}
