// Package replicas proves, on a real API server, what kruise-manager promises as a program: certificates, readiness and
// leadership of several replicas.
package replicas

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strconv"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/manager/images"
	"kruise.io/kruise/test/integration/apiserver"
)

var server *apiserver.Server

// user is who the manager is where it may do what the chart lets it, and no more.
const user = "system:serviceaccount:kruise-system:kruise-manager"

func TestMain(m *testing.M) {
	apiserver.Main(m, &server, apiserver.Installed(user))
}

func asIs(*manager.Options, *serve.Options) {}

// replica runs a replica until the test ends.
func replica(t *testing.T, start func(context.Context, func(*manager.Options, *serve.Options)) (*apiserver.Replica, error), change func(*manager.Options, *serve.Options)) *apiserver.Replica {
	t.Helper()
	r, err := start(context.WithoutCancel(t.Context()), change)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Errorf("a replica did not stop as it should: %v", err)
		}
	})
	return r
}

func secret(t *testing.T) *corev1.Secret {
	t.Helper()
	s := &corev1.Secret{}
	if err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: "kruise-system", Name: "kruise-webhook-certs"}, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// installed runs a manager with its controllers, as the chart installs one on a fresh cluster, with the gate of pulling ahead.
func installed(t *testing.T, change func(*manager.Options, *serve.Options)) *apiserver.Replica {
	t.Helper()
	return replica(t, server.As(user).RunWebhooks, func(m *manager.Options, o *serve.Options) {
		m.WebhooksOnly, o.LeaderElection = false, true
		m.Images, m.Workloads.PullAhead = images.Options{Enabled: true, ConfigNamespace: images.DefaultConfigNamespace}, true
		change(m, o)
	})
}

// fresh makes the empty Secret of the chart, and takes every CA away.
func fresh(t *testing.T) {
	t.Helper()
	forget(t)
	if err := server.Client.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kruise-system", Name: "kruise-webhook-certs"}}); err != nil {
		t.Fatal(err)
	}
}

// forget takes away the Secret and every CA.
func forget(t *testing.T) {
	t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kruise-system", Name: "kruise-webhook-certs"}}
	if err := server.Client.Delete(t.Context(), s); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	placeCA(t, nil)
}

type bundles struct {
	mutating   admissionregistrationv1.MutatingWebhookConfiguration
	validating admissionregistrationv1.ValidatingWebhookConfiguration
	crd        apiextensionsv1.CustomResourceDefinition
}

func readBundles(t *testing.T) (*bundles, []*[]byte) {
	t.Helper()
	b := &bundles{}
	for name, object := range map[string]client.Object{
		"kruise-mutating-webhook-configuration": &b.mutating, "kruise-validating-webhook-configuration": &b.validating, "clonesets.apps.kruise.io": &b.crd,
	} {
		if err := server.Client.Get(t.Context(), client.ObjectKey{Name: name}, object); err != nil {
			t.Fatal(err)
		}
	}
	return b, []*[]byte{
		&b.mutating.Webhooks[0].ClientConfig.CABundle, &b.validating.Webhooks[0].ClientConfig.CABundle, &b.crd.Spec.Conversion.Webhook.ClientConfig.CABundle,
	}
}

// placeCA writes a CA into every object that calls the webhooks, whoever else writes there at the same time.
func placeCA(t *testing.T, ca []byte) {
	t.Helper()
	for i := range 3 {
		apiserver.Eventually(t, "the CA is written", func() bool {
			b, all := readBundles(t)
			*all[i] = ca
			err := server.Client.Update(t.Context(), []client.Object{&b.mutating, &b.validating, &b.crd}[i])
			if err != nil && !apierrors.IsConflict(err) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
}

func trusted(t *testing.T, ca []byte) bool {
	t.Helper()
	_, all := readBundles(t)
	for _, bundle := range all {
		if !bytes.Equal(*bundle, ca) {
			return false
		}
	}
	return true
}

// served returns the fingerprint of the certificate that a replica serves, or why there is none that the CA signed.
func served(t *testing.T, r *apiserver.Replica, ca []byte) string {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: "kruise-webhook-service.kruise-system.svc", MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(r.WebhookPort)))
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	return fmt.Sprintf("%x", sha256.Sum256(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw))
}

// writeDemo writes a v1alpha1 object, so that writing it needs admission and conversion.
func writeDemo(t *testing.T) error {
	t.Helper()
	set := &v1alpha1.CloneSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "demo-"}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "demo"}}
	set.Spec.Template.Labels = map[string]string{"app": "demo"}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "demo:1"}}
	set.Spec.Replicas = ptr.To[int32](0)
	return server.Client.Create(t.Context(), set)
}

func TestTwoReplicasThatStartAtOnceAgreeOnACertificate(t *testing.T) {
	forget(t)
	one := replica(t, server.StartReplica, asIs)
	two := replica(t, server.StartReplica, asIs)
	for _, r := range []*apiserver.Replica{one, two} {
		if err := r.AwaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ca := secret(t).Data["ca.crt"]
	if !trusted(t, ca) {
		t.Error("both are ready, and not every object trusts the CA")
	}
	if a, b := served(t, one, ca), served(t, two, ca); a != b {
		t.Errorf("one serves %s, the other %s", a, b)
	}
}

func TestAReplicaThatComesLaterChangesNothing(t *testing.T) {
	forget(t)
	replica(t, server.RunReplica, asIs)
	before := secret(t)
	objects, _ := readBundles(t)
	replica(t, server.RunReplica, asIs)
	after := secret(t)
	objectsAfter, _ := readBundles(t)
	if before.ResourceVersion != after.ResourceVersion {
		t.Error("it wrote the Secret")
	}
	if objects.mutating.ResourceVersion != objectsAfter.mutating.ResourceVersion || objects.crd.ResourceVersion != objectsAfter.crd.ResourceVersion {
		t.Error("it wrote a CA")
	}
}

func TestANewCertificateIsServedWithoutARestart(t *testing.T) {
	forget(t)
	called := replica(t, server.RunWebhooks, asIs)
	other := replica(t, server.RunReplica, asIs)
	if err := writeDemo(t); err != nil {
		t.Fatalf("with the first certificate: %v", err)
	}
	first := secret(t)
	for what, keys := range map[string][]string{"the serving certificate": {"tls.crt"}, "the authority": {"ca.crt", "ca.key"}} {
		lost := secret(t)
		old := served(t, called, lost.Data["ca.crt"])
		for _, key := range keys {
			delete(lost.Data, key)
		}
		if err := server.Client.Update(t.Context(), lost); err != nil {
			t.Fatal(err)
		}
		apiserver.Eventually(t, what+" is made anew, served by both and trusted", func() bool {
			data := secret(t).Data
			a, b := served(t, called, data["ca.crt"]), served(t, other, data["ca.crt"])
			return len(data["tls.crt"]) > 0 && a == b && a != old && trusted(t, data["ca.crt"])
		})
		// The API server learns of a new CA a moment later.
		apiserver.Eventually(t, "the API server calls the webhooks after "+what+" changed", func() bool { return writeDemo(t) == nil })
	}
	if bytes.Equal(first.Data["ca.crt"], secret(t).Data["ca.crt"]) {
		t.Error("the authority is still the first")
	}
}

func TestACAThatSomebodyTookAwayIsPutBack(t *testing.T) {
	forget(t)
	replica(t, server.RunReplica, asIs)
	placeCA(t, nil)
	apiserver.Eventually(t, "every object trusts the CA again", func() bool { return trusted(t, secret(t).Data["ca.crt"]) })
}

func TestExternalCertificatesAreServedAndNeverWritten(t *testing.T) {
	forget(t)
	made := replica(t, server.RunReplica, asIs)
	data := secret(t).Data
	if err := made.Stop(); err != nil {
		t.Fatal(err)
	}
	forget(t)

	external := replica(t, server.StartReplica, func(m *manager.Options, _ *serve.Options) { m.ExternalCerts = true })
	apiserver.Eventually(t, "it answers probes", func() bool { return external.Alive(t.Context()) })
	if external.Ready(t.Context()) {
		t.Fatal("it is ready without a certificate")
	}
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kruise-system", Name: "kruise-webhook-certs"}, Data: data}
	if err := server.Client.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "it serves the certificate", func() bool { return len(served(t, external, data["ca.crt"])) == 64 })
	if external.Ready(t.Context()) || trusted(t, data["ca.crt"]) {
		t.Fatal("it is ready, or wrote the CA, though that is somebody else's to do")
	}
	placeCA(t, data["ca.crt"])
	if err := external.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if secret(t).ResourceVersion != s.ResourceVersion {
		t.Error("it wrote the Secret")
	}
}

func TestALeaderThatStopsHandsItsLeadershipOn(t *testing.T) {
	forget(t)
	lead := func(_ *manager.Options, o *serve.Options) { o.LeaderElection = true }
	holder := func() string {
		lease := &coordinationv1.Lease{}
		if err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: "kruise-system", Name: "kruise-manager"}, lease); err != nil {
			return ""
		}
		return ptr.Deref(lease.Spec.HolderIdentity, "")
	}
	leader, err := server.RunReplica(context.WithoutCancel(t.Context()), lead)
	if err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "somebody leads", func() bool { return holder() != "" })
	first := holder()
	replica(t, server.RunReplica, lead) // ready, though it does not lead
	if holder() != first {
		t.Error("the second took the lead from the first")
	}
	if err := leader.Stop(); err != nil {
		t.Fatal(err)
	}
	if holder() == first {
		t.Error("the first is gone and still holds the lease")
	}
	apiserver.Eventually(t, "the second leads", func() bool { h := holder(); return h != "" && h != first })
}
