// Package certs keeps the serving certificate of a component's webhooks.
//
// The certificate and the authority (CA) that signed it live in one Secret. Every replica runs a Keeper, none leads: each
// serves the certificate from memory as soon as it stands in the Secret, and each would make or renew it and write
// the CA into the objects that call the webhooks. Replicas do not fight: they all derive the same from the same
// Secret, and of two that renew it at once the API server lets one win.
//
// It promises: a replica on an empty cluster serves within a second or two, with no volume to wait for; a changed Secret is
// served at once and without a restart; objects are touched only where their CA differs, and only in that field;
// and reads are of the named objects alone, so that a role can be limited to them.
//
// Certificates are made and judged by cert-controller's rotator. Only its controller is not used: it serves from a
// mounted Secret, which kubelet fills up to a minute late, keeps every CustomResourceDefinition of the cluster in
// memory, and ends the process when an object that it should write to does not call a webhook.
package certs

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Options says what a Keeper keeps.
type Options struct {
	// Secret holds the certificates. It is made if it does not exist, unless External.
	Secret types.NamespacedName
	// Organization is written into the authority's certificate: the component's name.
	Organization string
	// DNSNames are the names that the API server calls the webhooks by. At least one; the first is the common name.
	DNSNames []string
	// RenewBefore is how long before its end a certificate is renewed. Default: 90 days.
	RenewBefore time.Duration
	// External says that somebody else writes the Secret (ca.crt, tls.crt, tls.key) and the CAs. The Keeper then only
	// serves what the Secret holds, and is not ready before every object trusts it.
	External bool
	// Mutating, Validating and CRDs name the objects that call the webhooks. Those that do not exist, and CRDs that do not
	// convert by webhook, are left out.
	Mutating, Validating, CRDs []string
}

func (o *Options) complete() error {
	if o.Secret.Name == "" || o.Secret.Namespace == "" {
		return fmt.Errorf("certs: the Secret %q needs a namespace and a name", o.Secret)
	}
	if len(o.DNSNames) == 0 || slices.Contains(o.DNSNames, "") {
		return fmt.Errorf("certs: the DNS names %q of the webhook service must not be empty", o.DNSNames)
	}
	if o.RenewBefore == 0 {
		o.RenewBefore = 90 * 24 * time.Hour
	}
	return nil
}

const (
	authorityLifetime = 10 * 365 * 24 * time.Hour
	serverLifetime    = 365 * 24 * time.Hour
)

// The keys of the Secret. The last two are older names of the authority, from which it is taken over.
const (
	keyCACert    = "ca.crt"
	keyCAKey     = "ca.key"
	keyCert      = "tls.crt"
	keyKey       = "tls.key"
	keyOldCACert = "ca-cert.pem"
	keyOldCAKey  = "ca-key.pem"
)

// serverUsages is a function, as a slice in a variable could be changed.
func serverUsages() *[]x509.ExtKeyUsage {
	return &[]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}
