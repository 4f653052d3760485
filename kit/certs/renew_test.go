package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func options(t *testing.T, names ...string) *Options {
	t.Helper()
	o := &Options{Secret: types.NamespacedName{Namespace: "ns", Name: "certs"}, Organization: "demo", DNSNames: names}
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	return o
}

func parse(t *testing.T, data []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("no certificate in %q", data)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// made returns a Secret's data as made at a time.
func made(t *testing.T, opts *Options, at time.Time) map[string][]byte {
	t.Helper()
	data, changed, err := renew(nil, opts, at)
	if err != nil || !changed {
		t.Fatalf("an empty Secret was left empty (%v)", err)
	}
	return data
}

func TestWhatIsRenewedWhen(t *testing.T) {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	opts := options(t, "svc.ns.svc", "localhost")
	cases := map[string]struct {
		change              func(map[string][]byte)
		opts                *Options
		later               time.Duration
		sameCA, sameServing bool
	}{
		"nothing, at once":                                   {sameCA: true, sameServing: true},
		"nothing, while the end is far":                      {later: year - 91*day, sameCA: true, sameServing: true},
		"the serving certificate alone, as its end nears":    {later: year - 89*day, sameCA: true},
		"the serving certificate alone, after its end":       {later: 3 * year, sameCA: true},
		"both, as the authority's end nears":                 {later: 10*year - 80*day},
		"the serving certificate, when a name is new":        {opts: options(t, "svc.ns.svc", "example.com"), sameCA: true},
		"nothing, when a name is no longer asked for":        {opts: options(t, "svc.ns.svc"), sameCA: true, sameServing: true},
		"the serving certificate, when it is broken":         {change: func(d map[string][]byte) { d[keyCert] = []byte("-") }, sameCA: true},
		"the serving certificate, when its key is another's": {change: func(d map[string][]byte) { d[keyKey] = d[keyCAKey] }, sameCA: true},
		"both, when the authority's key is lost":             {change: func(d map[string][]byte) { delete(d, keyCAKey) }},
		"both, when the authority is broken":                 {change: func(d map[string][]byte) { d[keyCACert] = []byte("-") }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := made(t, opts, start)
			if tc.change != nil {
				tc.change(before)
			}
			if tc.opts == nil {
				tc.opts = opts
			}
			now := start.Add(tc.later)
			after, changed, err := renew(before, tc.opts, now)
			if err != nil {
				t.Fatal(err)
			}
			sameCA, sameServing := bytes.Equal(before[keyCACert], after[keyCACert]), bytes.Equal(before[keyCert], after[keyCert])
			if sameCA != tc.sameCA || sameServing != tc.sameServing || changed == (sameCA && sameServing) {
				t.Errorf("authority kept %t, serving certificate kept %t, changed %t; want %t, %t", sameCA, sameServing, changed, tc.sameCA, tc.sameServing)
			}
			if !validServer(after, tc.opts.DNSNames, now) {
				t.Error("the result is not valid")
			}
			if _, again, err := renew(after, tc.opts, now); err != nil || again {
				t.Errorf("a second look renews again (%v)", err)
			}
		})
	}
}

func TestReplicasThatAskForOtherNamesDoNotTakeThemFromEachOther(t *testing.T) {
	now := time.Now()
	one, two := options(t, "svc.ns.svc", "one"), options(t, "svc.ns.svc", "two")
	first := made(t, one, now)
	second, _, err := renew(first, two, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, changed, err := renew(second, one, now); err != nil || changed {
		t.Errorf("the names %q are renewed again (%v)", parse(t, second[keyCert]).DNSNames, err)
	}
}

func TestAnAuthorityUnderItsOlderNameIsTakenOver(t *testing.T) {
	now := time.Now()
	opts := options(t, "svc.ns.svc")
	ours := made(t, opts, now)
	older := map[string][]byte{keyOldCACert: ours[keyCACert], keyOldCAKey: ours[keyCAKey], keyCert: ours[keyCert], keyKey: ours[keyKey], "cert.pem": []byte("kept")}
	data, changed, err := renew(older, opts, now)
	if err != nil || !changed {
		t.Fatalf("changed %t, %v", changed, err)
	}
	for key, want := range map[string][]byte{keyCACert: ours[keyCACert], keyCert: ours[keyCert], "cert.pem": []byte("kept"), keyOldCACert: ours[keyCACert]} {
		if !bytes.Equal(data[key], want) {
			t.Errorf("%s was not kept", key)
		}
	}
}

func TestTheCertificateHasTheNamesAndItsKeyIsNoAuthority(t *testing.T) {
	cert := parse(t, made(t, options(t, "svc.ns.svc", "localhost"), time.Now())[keyCert])
	if !slices.Equal(cert.DNSNames, []string{"svc.ns.svc", "localhost"}) || cert.IsCA {
		t.Errorf("names %q, authority %t", cert.DNSNames, cert.IsCA)
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	for name, o := range map[string]Options{
		"a Secret without a namespace": {Secret: types.NamespacedName{Name: "x"}, DNSNames: []string{"a"}},
		"no name":                      {Secret: types.NamespacedName{Namespace: "x", Name: "x"}},
		"an empty name":                {Secret: types.NamespacedName{Namespace: "x", Name: "x"}, DNSNames: []string{"a", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			if o.complete() == nil {
				t.Error("it was accepted")
			}
		})
	}
}
