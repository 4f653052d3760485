package containerrecreaterequest

import (
	"context"
	"os"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/integration/apiserver"
)

const account = "system:serviceaccount:kruise-system:kruise-daemon"

// tied installs what the chart installs for the daemon: its role, and the policy that ties it to its node. It returns once the daemon
// may do no more than that.
func tied(t *testing.T) {
	t.Helper()
	role := &rbacv1.ClusterRole{}
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{}
	for file, into := range map[string]any{"rbac/daemon.yaml": role, "daemon-policy.yaml": policy} {
		path, err := apiserver.ChartFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(string(text), "RELEASE-NAMESPACE", "kruise-system")), into); err != nil {
			t.Fatal(err)
		}
	}
	name := metav1.ObjectMeta{Name: "kruise-daemon"}
	role.ObjectMeta, policy.ObjectMeta = name, name
	for _, object := range []client.Object{
		role, policy,
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name.Name},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: account}},
		},
		&admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: name, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name.Name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		}},
	} {
		if err := client.IgnoreAlreadyExists(server.Client.Create(t.Context(), object)); err != nil {
			t.Fatal(err)
		}
	}
	daemon := as(t, "node-1")
	apiserver.Eventually(t, "no role of another test is left", func() bool { return daemon.List(t.Context(), &corev1.SecretList{}) != nil })
}

// config is that of a daemon whose token is bound to a pod on a node; "" for one that is bound to none.
func config(node string) *rest.Config {
	c := rest.CopyConfig(server.Config)
	c.Impersonate.UserName = account
	if node != "" {
		c.Impersonate.Extra = map[string][]string{"authentication.kubernetes.io/node-name": {node}}
	}
	return c
}

func as(t *testing.T, node string) client.Client {
	t.Helper()
	c, err := client.New(config(node), client.Options{Scheme: server.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestADaemonWritesWhatBelongsToItsNodeAndNothingElse(t *testing.T) {
	tied(t)
	namespace := server.Namespace(t)
	p := pod(t, namespace, nil)
	r := request(namespace, "xxx", "app")
	if err := server.Client.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	const phase = `{"status":{"phase":"Recreating"}}`
	apiserver.Eventually(t, "the policy is in force", func() bool { return apierrors.IsInvalid(patchStatus(t, as(t, "node-2"), r, phase)) })

	if err := patchStatus(t, as(t, "node-1"), r, phase); err != nil {
		t.Errorf("its own node's request: %v", err)
	}
	err := patchStatus(t, as(t, "node-2"), r, phase)
	if want := `the token of kruise-daemon on node "node-2" may change objects of that node alone, and this one belongs to node "node-1"`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("another node's request: %v", err)
	}
	if err := patchStatus(t, as(t, ""), r, phase); err == nil {
		t.Error("a token that is bound to no node writes")
	}

	// Even where a role allowed it.
	everything := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "everything"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: account}},
	}
	if err := server.Client.Create(t.Context(), everything); err != nil {
		t.Fatal(err)
	}
	after := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := server.Client.Delete(after, everything); err != nil {
			t.Error(err)
		}
	})
	mine := as(t, "node-1")
	apiserver.Eventually(t, "the role is in force", func() bool { return mine.List(t.Context(), &corev1.SecretList{}) == nil })
	const annotation = `{"metadata":{"annotations":{"apps.kruise.io/runtime-containers-meta":"{}"}}}`
	if err := patchStatus(t, mine, p, annotation); err != nil {
		t.Errorf("the annotation of its own: %v", err)
	}
	for name, write := range map[string]func() error{
		"another node's pod":       func() error { return patchStatus(t, as(t, "node-2"), p, annotation) },
		"another annotation":       func() error { return patchStatus(t, mine, p, `{"metadata":{"annotations":{"other":"x"}}}`) },
		"a label":                  func() error { return patchStatus(t, mine, p, `{"metadata":{"labels":{"app":"x"}}}`) },
		"a finalizer":              func() error { return patchStatus(t, mine, p, `{"metadata":{"finalizers":["a.b/c"]}}`) },
		"the phase of a pod":       func() error { return patchStatus(t, mine, p, `{"status":{"phase":"Failed"}}`) },
		"the deletion of a pod":    func() error { return mine.Delete(t.Context(), p.DeepCopy()) },
		"the deletion of requests": func() error { return mine.Delete(t.Context(), r.DeepCopy()) },
		"a request":                func() error { return mine.Create(t.Context(), request(namespace, "new", "app")) },
	} {
		if err := write(); err == nil || !strings.Contains(err.Error(), "kruise-daemon") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADaemonReportsForItsNodeAloneAndTellsEventsAsItself(t *testing.T) {
	tied(t)
	namespace := server.Namespace(t)
	mine, other := as(t, "node-1"), as(t, "node-2")
	image := &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}
	probes := &v1alpha1.NodePodProbe{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}
	for object, report := range map[client.Object]string{
		image: `{"status":{"desired":0,"waiting":0,"pulling":0,"succeeded":0,"failed":0}}`, probes: `{"status":{"podProbeStatuses":[]}}`,
	} {
		if err := server.Client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		apiserver.Eventually(t, "the policy is in force", func() bool { return apierrors.IsInvalid(patchStatus(t, other, object, report)) })
		if err := patchStatus(t, mine, object, report); err != nil {
			t.Errorf("its own node's %T: %v", object, err)
		}
		if err := patchStatus(t, other, object, report); err == nil || !strings.Contains(err.Error(), `this one belongs to node "node-1"`) {
			t.Errorf("another node's %T: %v", object, err)
		}
		for name, err := range map[string]error{
			"changes": mine.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`))),
			"deletes": mine.Delete(t.Context(), object),
		} {
			if !apierrors.IsForbidden(err) {
				t.Errorf("it %s a %T: %v", name, object, err)
			}
		}
	}
	event := func(controller string) *eventsv1.Event {
		return &eventsv1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "told-"}, EventTime: metav1.NowMicro(), Type: corev1.EventTypeNormal,
			Regarding: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: "web"},
			Reason:    "Killing", Action: "RecreateContainer", ReportingController: controller, ReportingInstance: controller + "-1",
		}
	}
	if err := mine.Create(t.Context(), event("kruise-daemon-crr")); err != nil {
		t.Errorf("an event of its own: %v", err)
	}
	for name, write := range map[string]error{
		"an event of kubelet":                mine.Create(t.Context(), event("kubelet")),
		"an event of a token without a node": as(t, "").Create(t.Context(), event("kruise-daemon-crr")),
	} {
		if write == nil || !strings.Contains(write.Error(), "kruise-daemon may") {
			t.Errorf("%s: %v", name, write)
		}
	}
}

func TestADaemonReadsNoSecretAndTouchesNoPod(t *testing.T) {
	tied(t)
	namespace := server.Namespace(t)
	p := pod(t, namespace, nil)
	c := as(t, "node-1")
	for name, do := range map[string]func() error{
		"reading secrets": func() error { return c.List(t.Context(), &corev1.SecretList{}) },
		"reading a secret by its name": func() error {
			return c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "any"}, &corev1.Secret{})
		},
		"deleting a pod": func() error { return c.Delete(t.Context(), p.DeepCopy()) },
		"changing a pod": func() error {
			changed := p.DeepCopy()
			changed.Spec.Containers[0].Image = "evil"
			return c.Update(t.Context(), changed)
		},
		"changing a request": func() error { return c.Update(t.Context(), request(namespace, "xxx", "app")) },
	} {
		if err := do(); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
