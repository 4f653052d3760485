package chart_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/pod"
)

const (
	mutatingName   = "kruise-mutating-webhook-configuration"
	validatingName = "kruise-validating-webhook-configuration"
	crdName        = "clonesets.apps.kruise.io"

	pollInterval = 100 * time.Millisecond
)

// cluster is an API server with etcd, helm, and nothing that runs pods: no manager ever answers a webhook.
type cluster struct {
	client.Client
	helm       helm
	kubeconfig string
	// authority is a certificate that the API server accepts as a CA.
	authority []byte
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	programs := parts(t, "etcd", "kube-apiserver", "helm", "kubectl")
	environment := &envtest.Environment{BinaryAssetsDirectory: programs}
	config, err := environment.Start()
	if err != nil {
		t.Fatalf("starting an API server: %v", err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Errorf("stopping the API server: %v", err)
		}
	})
	user, err := environment.AddUser(envtest.User{Name: "installer", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, admissionregistrationv1.AddToScheme, apiextensionsv1.AddToScheme, v1beta1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{Client: c, helm: helm(filepath.Join(programs, "helm")), kubeconfig: file, authority: config.CAData}
}

func (c *cluster) run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := c.helm.run(t, append(args, "--kubeconfig", c.kubeconfig, "--namespace", namespace)...); err != nil {
		t.Fatalf("helm %s: %v\n%s", args[0], err, out)
	}
}

// deploy installs or upgrades the release. A manager that does not exist cannot become ready, so nothing is waited for.
func (c *cluster) deploy(t *testing.T, values ...string) {
	t.Helper()
	values = append(values, "webhookConfiguration.failurePolicy.cloneset=Ignore", "webhookConfiguration.failurePolicy.containerrecreaterequest=Ignore", "webhookConfiguration.timeoutSeconds=1")
	c.run(t, append([]string{"upgrade", "--install", "kruise", chartDir, "--create-namespace"}, sets(values)...)...)
}

func (c *cluster) get(t *testing.T, key client.ObjectKey, object client.Object) {
	t.Helper()
	if err := c.Get(t.Context(), key, object); err != nil {
		t.Fatalf("%T %s: %v", object, key, err)
	}
}

func TestTheAPIServerAcceptsEverythingThatTheChartRenders(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	ofNodes := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ofNodes}} // nothing is stored, so the chart's own is not there
	for _, ns := range []*corev1.Namespace{ns, ofNodes} {
		if err := c.Create(t.Context(), ns); err != nil {
			t.Fatal(err)
		}
	}
	for name, values := range map[string][]string{
		"with defaults": nil,
		"with everything": {
			"manager.pprof.enabled=true", "networkPolicy.enabled=true", "manager.resources.limits.memory=1Gi",
			"imagePullSecrets[0].name=registry", "serviceAccount.annotations.a=b", "manager.podLabels.a=b",
			"manager.podAnnotations.a=b", "manager.nodeSelector.a=b", "manager.tolerations[0].operator=Exists",
			"featureGates=A=true", "daemon.pprof.enabled=true", "daemon.socketFile=x.sock", "daemon.hostNetwork=true", "daemon.runAsUser=0",
			"daemon.seLinuxOptions.type=spc_t", "daemon.extraEnvs[0].name=A", "daemon.podLabels.a=b", "daemon.podAnnotations.a=b", "daemon.nodeSelector.a=b",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, object := range c.helm.render(t, namespace, values...) {
				c.accepts(t, &object)
			}
		})
	}
	t.Run("as a pod under the restricted standard", func(t *testing.T) {
		deployment := find[appsv1.Deployment](t, c.helm.render(t, namespace), "Deployment", "kruise-controller-manager")
		standing := &corev1.Pod{Spec: deployment.Spec.Template.Spec}
		standing.Namespace, standing.Name = namespace, "manager"
		if err := c.Create(t.Context(), standing, client.DryRunAll); err != nil {
			t.Error(err)
		}
	})
}

// accepts applies an object as helm does, without storing it; unknown fields are refused.
func (c *cluster) accepts(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object),
		client.FieldOwner("helm"), client.DryRunAll, client.ForceOwnership)
	if err != nil {
		t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
	}
}

// What the manager writes into objects of the chart must survive every upgrade: without its certificates, no CloneSet
// could be written until the manager noticed.
func TestAnUpgradeLeavesAloneWhatTheManagerWrote(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.deploy(t)
	c.established(t)
	c.writeAsManager(t)

	c.deploy(t, "webhookConfiguration.timeoutSeconds=2", "manager.replicas=3")

	deployment := &appsv1.Deployment{}
	c.get(t, client.ObjectKey{Namespace: namespace, Name: "kruise-controller-manager"}, deployment)
	if *deployment.Spec.Replicas != 3 {
		t.Fatalf("%d replicas: the upgrade did nothing", *deployment.Spec.Replicas)
	}
	secret := &corev1.Secret{}
	c.get(t, client.ObjectKey{Namespace: namespace, Name: "kruise-webhook-certs"}, secret)
	if string(secret.Data["tls.crt"]) != "certificate" {
		t.Errorf("the Secret lost its certificate: %v", secret.Data)
	}
	mutating, validating, crd := c.callers(t)
	for name, bundle := range map[string][]byte{
		mutatingName:   mutating.Webhooks[0].ClientConfig.CABundle,
		validatingName: validating.Webhooks[0].ClientConfig.CABundle,
		crdName:        crd.Spec.Conversion.Webhook.ClientConfig.CABundle,
	} {
		if string(bundle) != string(c.authority) {
			t.Errorf("%s lost its CA: %q", name, bundle)
		}
	}
	pods := &admissionregistrationv1.MutatingWebhookConfiguration{}
	c.get(t, client.ObjectKey{Name: pod.MutatingConfiguration}, pods)
	if len(pods.Webhooks) != 1 || pods.Webhooks[0].Name != createsWebhook {
		t.Errorf("the webhooks for new pods are %+v", pods.Webhooks)
	}
	others := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	c.get(t, client.ObjectKey{Name: pod.ValidatingConfiguration}, others)
	if len(others.Webhooks) != 1 || others.Webhooks[0].Name != deletesWebhook {
		t.Errorf("the webhooks for pods that go are %+v", others.Webhooks)
	}
}

// Webhooks for pods, as the manager writes them.
const (
	createsWebhook = "create-fail-0.mpod.kb.io"
	deletesWebhook = "delete-fail-0.vpod.kb.io"
)

// callers returns the objects by which the API server calls the manager.
func (c *cluster) callers(t *testing.T) (*admissionregistrationv1.MutatingWebhookConfiguration,
	*admissionregistrationv1.ValidatingWebhookConfiguration, *apiextensionsv1.CustomResourceDefinition) {
	t.Helper()
	mutating := &admissionregistrationv1.MutatingWebhookConfiguration{}
	c.get(t, client.ObjectKey{Name: mutatingName}, mutating)
	validating := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	c.get(t, client.ObjectKey{Name: validatingName}, validating)
	crd := &apiextensionsv1.CustomResourceDefinition{}
	c.get(t, client.ObjectKey{Name: crdName}, crd)
	return mutating, validating, crd
}

// writeAsManager does to the release what a manager does: certificates into the Secret, the authority into the callers, and
// a webhook for pods.
func (c *cluster) writeAsManager(t *testing.T) {
	t.Helper()
	secret := &corev1.Secret{}
	c.get(t, client.ObjectKey{Namespace: namespace, Name: "kruise-webhook-certs"}, secret)
	secret.Data = map[string][]byte{"tls.crt": []byte("certificate")}
	mutating, validating, crd := c.callers(t)
	mutating.Webhooks[0].ClientConfig.CABundle = c.authority
	validating.Webhooks[0].ClientConfig.CABundle = c.authority
	crd.Spec.Conversion.Webhook.ClientConfig.CABundle = c.authority
	pods := &admissionregistrationv1.MutatingWebhookConfiguration{}
	c.get(t, client.ObjectKey{Name: pod.MutatingConfiguration}, pods)
	created := mutating.Webhooks[0].DeepCopy()
	created.Name, created.FailurePolicy, created.ObjectSelector = createsWebhook, new(admissionregistrationv1.Fail), asking()
	created.Rules, created.MatchConditions = ofPods(admissionregistrationv1.Create), nil
	pods.Webhooks = []admissionregistrationv1.MutatingWebhook{*created}
	others := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	c.get(t, client.ObjectKey{Name: pod.ValidatingConfiguration}, others)
	deleted := validating.Webhooks[0].DeepCopy()
	deleted.Name, deleted.FailurePolicy, deleted.ObjectSelector = deletesWebhook, new(admissionregistrationv1.Fail), asking()
	deleted.Rules, deleted.MatchConditions = ofPods(admissionregistrationv1.Delete), nil
	others.Webhooks = []admissionregistrationv1.ValidatingWebhook{*deleted}
	for _, object := range []client.Object{secret, mutating, validating, crd, pods, others} {
		if err := c.Update(t.Context(), object, client.FieldOwner("kruise-manager")); err != nil {
			t.Fatalf("%T: %v", object, err)
		}
	}
}

// asking selects the pods about which the webhooks ask.
func asking() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"asks": "yes"}}
}

func ofPods(o admissionregistrationv1.OperationType) []admissionregistrationv1.RuleWithOperations {
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{o},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
	}}
}

// An uninstall by mistake must not cost a single workload, and must leave nothing that waits for a manager in vain.
func TestAnUninstallTakesNoWorkloadAwayAndBlocksNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.deploy(t, "featureGates=ResourcesDeletionProtection=true")
	c.established(t)
	pods := c.waiting(t)
	c.writeAsManager(t)
	pods.wait(t)
	set := newCloneSet("kept")
	set.Finalizers = []string{"example.org/hold"}
	if err := c.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	crd := c.protects(t)

	c.run(t, "uninstall", "kruise")

	pods.pass(t)
	if err := c.Delete(t.Context(), crd); err != nil {
		t.Errorf("a protected CustomResourceDefinition cannot be deleted once nobody protects it: %v", err)
	}

	kept := &v1beta1.CloneSet{}
	c.get(t, client.ObjectKeyFromObject(set), kept)
	if kept.UID != set.UID {
		t.Error("the CloneSet is another one")
	}
	if err := c.Create(t.Context(), newCloneSet("new")); err != nil {
		t.Errorf("a CloneSet cannot be created without a manager: %v", err)
	}
	if err := c.Delete(t.Context(), kept); err != nil {
		t.Errorf("a CloneSet cannot be deleted without a manager: %v", err)
	}
	kept.Finalizers = nil
	kept.ResourceVersion = ""
	if err := c.Patch(t.Context(), kept, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
		t.Errorf("a finalizer cannot be taken off without a manager: %v", err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(set), kept); !apierrors.IsNotFound(err) {
		t.Errorf("the deleted CloneSet is still there: %v", err)
	}
	for name, configuration := range map[string]client.Object{
		mutatingName:              &admissionregistrationv1.MutatingWebhookConfiguration{},
		validatingName:            &admissionregistrationv1.ValidatingWebhookConfiguration{},
		pod.MutatingConfiguration: &admissionregistrationv1.MutatingWebhookConfiguration{}, pod.ValidatingConfiguration: &admissionregistrationv1.ValidatingWebhookConfiguration{},
	} {
		if err := c.Get(t.Context(), client.ObjectKey{Name: name}, configuration); !apierrors.IsNotFound(err) {
			t.Errorf("the webhooks of %s are still called: %v", name, err)
		}
	}

	c.deploy(t)
	c.get(t, client.ObjectKey{Namespace: "default", Name: "new"}, kept)
}

// protects checks that deletions of what has the label are refused while no manager answers, and of nothing else. It returns
// a CustomResourceDefinition with the label.
func (c *cluster) protects(t *testing.T) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	labels := map[string]string{"policy.kruise.io/delete-protection": "Always"}
	plain := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "plain"}}
	kept := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kept", Labels: labels}}
	for _, ns := range []*corev1.Namespace{plain, kept} {
		if err := c.Create(t.Context(), ns); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Delete(t.Context(), plain); err != nil {
		t.Errorf("a namespace without the label cannot be deleted without a manager: %v", err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "things.example.org", Labels: labels}}
	crd.Spec = apiextensionsv1.CustomResourceDefinitionSpec{
		Group: "example.org", Scope: apiextensionsv1.ClusterScoped,
		Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "things", Kind: "Thing"},
		Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
			Name: "v1", Served: true, Storage: true,
			Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object"}},
		}},
	}
	if err := c.Create(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	for _, object := range []client.Object{kept, crd} {
		if err := c.Delete(t.Context(), object); err == nil || !strings.Contains(err.Error(), `failed calling webhook "vdeletion.kb.io"`) {
			t.Errorf("%T %s, which has the label, without a manager: %v", object, object.GetName(), err)
		}
	}
	if err := c.Patch(t.Context(), kept, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":null}}`))); err != nil {
		t.Errorf("the label cannot be taken off without a manager: %v", err)
	}
	return crd
}

func newCloneSet(name string) *v1beta1.CloneSet {
	labels := map[string]string{"app": name}
	set := &v1beta1.CloneSet{}
	set.Namespace, set.Name = "default", name
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	set.Spec.Template.Labels = labels
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "example.org/main:v1"}}
	return set
}

// established waits until the API server serves the kind.
func (c *cluster) established(t *testing.T) {
	t.Helper()
	err := wait.PollUntilContextCancel(t.Context(), pollInterval, true, func(ctx context.Context) (bool, error) {
		return c.List(ctx, &v1beta1.CloneSetList{}) == nil, nil
	})
	if err != nil {
		t.Fatal(fmt.Errorf("waiting for CloneSets to be served: %w", err))
	}
}
