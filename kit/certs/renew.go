package certs

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	"k8s.io/client-go/util/keyutil"
)

// renew returns what the Secret should hold at a time, and whether that differs from what it holds. Keys that are not
// ours are kept. The authority is kept while it is good, so that a new server certificate is trusted by every
// object that trusted the last one.
func renew(data map[string][]byte, opts *Options, now time.Time) (map[string][]byte, bool, error) {
	soon := now.Add(opts.RenewBefore)
	fresh := maps.Clone(data)
	if fresh == nil {
		fresh = map[string][]byte{}
	}
	if len(fresh[keyCACert]) == 0 && len(fresh[keyOldCACert]) > 0 {
		fresh[keyCACert], fresh[keyCAKey] = fresh[keyOldCACert], fresh[keyOldCAKey]
	}
	maker := &rotator.CertRotator{
		CAName:         opts.Organization + "-ca",
		CAOrganization: opts.Organization,
		DNSName:        opts.DNSNames[0],
		ExtraDNSNames:  extraNames(opts.DNSNames, data[keyCert]),
		ExtKeyUsages:   serverUsages(),
	}
	begin := now.Add(-time.Hour) // clocks differ

	authority, err := parseAuthority(fresh)
	if err != nil || !validAuthority(fresh, soon) {
		if authority, err = maker.CreateCACert(begin, now.Add(authorityLifetime)); err != nil {
			return nil, false, fmt.Errorf("making a certificate authority: %w", err)
		}
		fresh[keyCACert], fresh[keyCAKey] = authority.CertPEM, authority.KeyPEM
	}
	if !validServer(fresh, opts.DNSNames, soon) {
		if fresh[keyCert], fresh[keyKey], err = maker.CreateCertPEM(authority, begin, now.Add(serverLifetime)); err != nil {
			return nil, false, fmt.Errorf("making a serving certificate: %w", err)
		}
	}
	return fresh, !maps.EqualFunc(data, fresh, bytes.Equal), nil
}

// extraNames returns all names but the first, and those of the certificate so far: replicas that ask for different
// names, as during an upgrade, would otherwise take each other's away by turns.
func extraNames(names []string, certificate []byte) []string {
	extra := slices.Clone(names[1:])
	if block, _ := pem.Decode(certificate); block != nil {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			for _, name := range cert.DNSNames {
				if !slices.Contains(names, name) {
					extra = append(extra, name)
				}
			}
		}
	}
	return extra
}

func validAuthority(data map[string][]byte, at time.Time) bool {
	ok, err := rotator.ValidCert(data[keyCACert], data[keyCACert], data[keyCAKey], "", nil, at)
	return ok && err == nil
}

// validServer says whether the Secret's certificate is good for every name at a time.
func validServer(data map[string][]byte, names []string, at time.Time) bool {
	for _, name := range names {
		if ok, err := rotator.ValidCert(data[keyCACert], data[keyCert], data[keyKey], name, serverUsages(), at); err != nil || !ok {
			return false
		}
	}
	return true
}

// parseAuthority reads the authority, with the key that it signs with, from the Secret.
func parseAuthority(data map[string][]byte) (*rotator.KeyPairArtifacts, error) {
	block, _ := pem.Decode(data[keyCACert])
	if block == nil {
		return nil, errors.New("no certificate authority")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing the certificate authority: %w", err)
	}
	key, err := keyutil.ParsePrivateKeyPEM(data[keyCAKey])
	if err != nil {
		return nil, fmt.Errorf("parsing the key of the certificate authority: %w", err)
	}
	rsaKey, ok := key.(*rsa.PrivateKey)
	if !ok || !cert.IsCA {
		return nil, errors.New("the certificate authority cannot sign with an RSA key")
	}
	return &rotator.KeyPairArtifacts{Cert: cert, Key: rsaKey, CertPEM: data[keyCACert], KeyPEM: data[keyCAKey]}, nil
}
