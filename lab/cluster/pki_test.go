package cluster

import (
	"bytes"
	"crypto/x509"
	"net/netip"
	"os"
	"slices"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"
)

func TestEveryCertificateIsSignedByTheClustersAuthorityForItsHolder(t *testing.T) {
	l := Layout{Name: "kruise", Dir: t.TempDir()}
	if err := writePKI(l, 2); err != nil {
		t.Fatal(err)
	}
	pool, err := cert.NewPool(l.pki("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range identities(l, 2) {
		certs, err := cert.CertsFromFile(l.pki(id.file + ".crt"))
		if err != nil {
			t.Error(err)
			continue
		}
		got := certs[0]
		if got.Subject.CommonName != id.user || !slices.Equal(got.Subject.Organization, id.groups) {
			t.Errorf("%s: issued to %s of %s", id.file, got.Subject.CommonName, got.Subject.Organization)
		}
		if _, err := got.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("%s: %v", id.file, err)
		}
		for _, address := range id.addresses {
			if err := got.VerifyHostname(address.String()); err != nil {
				t.Errorf("%s: %v", id.file, err)
			}
		}
		info, err := os.Stat(l.pki(id.file + ".key"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the key of %s can be read by others: %v, %v", id.file, info, err)
		}
	}
}

func TestTheServersCertificateCoversAllItsAddresses(t *testing.T) {
	l := Layout{Name: "kruise", Index: 2, Dir: t.TempDir()}
	if err := writePKI(l, 0); err != nil {
		t.Fatal(err)
	}
	certs, err := cert.CertsFromFile(l.pki("apiserver.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kubernetes.default.svc", "localhost", netip.MustParseAddr("10.98.0.1").String(), "10.77.2.2", "127.0.0.1"} {
		if err := certs[0].VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
}

func TestAuthoritiesAndTokensSurviveARestartAndAreNotThoseOfAggregation(t *testing.T) {
	l := Layout{Name: "kruise", Dir: t.TempDir()}
	read := func(file string) []byte {
		t.Helper()
		data, err := os.ReadFile(l.pki(file))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	before := map[string][]byte{}
	lasting := []string{"ca.crt", "ca.key", "front-proxy-ca.crt", "service-account.key", "service-account.pub"}
	if err := writePKI(l, 1); err != nil {
		t.Fatal(err)
	}
	for _, file := range lasting {
		before[file] = read(file)
	}
	if err := writePKI(l, 2); err != nil {
		t.Fatal(err)
	}
	for _, file := range lasting {
		if !bytes.Equal(before[file], read(file)) {
			t.Errorf("%s has changed", file)
		}
	}
	if bytes.Equal(read("ca.crt"), read("front-proxy-ca.crt")) {
		t.Error("clients of the cluster and of aggregation have the same authority")
	}
}

func TestTheKubeconfigContainsAllThatItNeeds(t *testing.T) {
	l := Layout{Name: "kruise", Dir: t.TempDir()}
	if err := writePKI(l, 0); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", l.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != l.APIServer() || len(config.CAData) == 0 || len(config.CertData) == 0 || len(config.KeyData) == 0 {
		t.Errorf("the kubeconfig leads to %s or refers to other files", config.Host)
	}
}
