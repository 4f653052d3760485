package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"kruise.io/kruise/lab/storage"
)

// validity is how long certificates are good for. All but those of the authorities are issued anew by every Up.
const validity = 10 * 365 * 24 * time.Hour

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// identity describes the holder of a certificate.
type identity struct {
	// file is the name of the files for certificate and key, without their endings.
	file   string
	user   string
	groups []string
	// names and addresses are what a server with this certificate is reached by.
	names     []string
	addresses []netip.Addr
	// kubeconfig tells whether the holder talks to the API server.
	kubeconfig bool
}

// identities lists everybody in a lab who needs a certificate of the cluster's authority.
func identities(l Layout, nodes int) []identity {
	all := []identity{
		{
			file: "apiserver", user: "kube-apiserver",
			names: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc.cluster.local", "localhost"},
			addresses: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), l.Address(), l.APIServerAddress()},
		},
		{file: "apiserver-kubelet-client", user: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}},
		{file: "admin", user: "kubernetes-admin", groups: []string{"system:masters"}, kubeconfig: true},
		{file: "controller-manager", user: "system:kube-controller-manager", kubeconfig: true},
		{file: "scheduler", user: "system:kube-scheduler", kubeconfig: true},
		{file: "proxy", user: "system:kube-proxy", kubeconfig: true},
		{file: "dns", user: "system:coredns", kubeconfig: true},
		{file: "provisioner", user: storage.User, kubeconfig: true},
		{file: "kwok", user: "kwok", groups: []string{"system:masters"}, kubeconfig: true},
	}
	for n := range nodes {
		name := l.NodeName(n + 1)
		all = append(all, identity{
			file: name, user: "system:node:" + name, groups: []string{"system:nodes"},
			names: []string{name}, addresses: []netip.Addr{l.NodeAddress(n + 1)}, kubeconfig: true,
		})
	}
	return all
}

// writePKI makes what a lab needs to trust its own components. Authorities and the key of service accounts are made
// once and stay, so that tokens and kubeconfig files survive a restart of the lab.
func writePKI(l Layout, nodes int) error {
	if err := os.MkdirAll(l.pki(""), 0o700); err != nil {
		return fmt.Errorf("making the folder for certificates: %w", err)
	}
	ca, err := ensureAuthority(l, "ca", "kubernetes")
	if err != nil {
		return err
	}
	front, err := ensureAuthority(l, "front-proxy-ca", "front-proxy")
	if err != nil {
		return err
	}
	if err := ensureServiceAccountKey(l); err != nil {
		return err
	}
	if err := issue(l, front, identity{file: "front-proxy-client", user: "front-proxy-client"}); err != nil {
		return err
	}
	for _, id := range identities(l, nodes) {
		if err := issue(l, ca, id); err != nil {
			return err
		}
		if !id.kubeconfig {
			continue
		}
		if err := writeKubeconfig(l, id); err != nil {
			return err
		}
	}
	return nil
}

// ensureAuthority reads an authority or makes it.
func ensureAuthority(l Layout, file, name string) (authority, error) {
	key, err := ensureKey(l.pki(file + ".key"))
	if err != nil {
		return authority{}, err
	}
	certs, err := cert.CertsFromFile(l.pki(file + ".crt"))
	if err == nil {
		return authority{cert: certs[0], key: key}, nil
	}
	made, err := cert.NewSelfSignedCACert(cert.Config{CommonName: name}, key)
	if err != nil {
		return authority{}, fmt.Errorf("making the authority %s: %w", name, err)
	}
	if err := writeCert(l.pki(file+".crt"), made); err != nil {
		return authority{}, fmt.Errorf("making the authority %s: %w", name, err)
	}
	return authority{cert: made, key: key}, nil
}

// ensureServiceAccountKey makes the pair of keys that signs and verifies the tokens of service accounts.
func ensureServiceAccountKey(l Layout) error {
	key, err := ensureKey(l.pki("service-account.key"))
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("writing the public key of service accounts: %w", err)
	}
	if err := keyutil.WriteKey(l.pki("service-account.pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})); err != nil {
		return fmt.Errorf("writing the public key of service accounts: %w", err)
	}
	return nil
}

// ensureKey reads a private key or makes it.
func ensureKey(path string) (crypto.Signer, error) {
	data, _, err := keyutil.LoadOrGenerateKeyFile(path)
	if err != nil {
		return nil, fmt.Errorf("making the key %s: %w", path, err)
	}
	parsed, err := keyutil.ParsePrivateKeyPEM(data)
	if err != nil {
		return nil, fmt.Errorf("reading the key %s: %w", path, err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("reading the key %s: it cannot sign", path)
	}
	return key, nil
}

// issue makes a key and a certificate for it, for use as a client and as a server.
func issue(l Layout, ca authority, id identity) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making the key of %s: %w", id.user, err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return fmt.Errorf("choosing a serial number: %w", err)
	}
	template := x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: id.user, Organization: id.groups},
		DNSNames:     id.names,
		NotBefore:    ca.cert.NotBefore,
		NotAfter:     time.Now().Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, address := range id.addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(address.AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return fmt.Errorf("signing the certificate of %s: %w", id.user, err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("signing the certificate of %s: %w", id.user, err)
	}
	private, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return fmt.Errorf("writing the key of %s: %w", id.user, err)
	}
	err = errors.Join(writeCert(l.pki(id.file+".crt"), signed), keyutil.WriteKey(l.pki(id.file+".key"), private))
	if err != nil {
		return fmt.Errorf("writing the certificate of %s: %w", id.user, err)
	}
	return nil
}

func writeCert(path string, c *x509.Certificate) error {
	data, err := cert.EncodeCertificates(c)
	if err != nil {
		return err
	}
	return cert.WriteCert(path, data)
}

// writeKubeconfig writes a file that connects the holder of a certificate with the API server. It contains all that
// it needs, so that it works from any folder and any machine of the lab.
func writeKubeconfig(l Layout, id identity) error {
	ca, err := os.ReadFile(l.pki("ca.crt"))
	if err != nil {
		return fmt.Errorf("writing the kubeconfig of %s: %w", id.user, err)
	}
	public, err := os.ReadFile(l.pki(id.file + ".crt"))
	if err != nil {
		return fmt.Errorf("writing the kubeconfig of %s: %w", id.user, err)
	}
	private, err := os.ReadFile(l.pki(id.file + ".key"))
	if err != nil {
		return fmt.Errorf("writing the kubeconfig of %s: %w", id.user, err)
	}
	context := "kruise-lab-" + l.Name
	config := clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{context: {Server: l.APIServer(), CertificateAuthorityData: ca}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{id.user: {ClientCertificateData: public, ClientKeyData: private}},
		Contexts:       map[string]*clientcmdapi.Context{context: {Cluster: context, AuthInfo: id.user}},
		CurrentContext: context,
	}
	path := l.pki(id.file + ".kubeconfig")
	if id.file == "admin" {
		path = l.Kubeconfig()
	}
	if err := clientcmd.WriteToFile(config, path); err != nil {
		return fmt.Errorf("writing the kubeconfig of %s: %w", id.user, err)
	}
	return nil
}
