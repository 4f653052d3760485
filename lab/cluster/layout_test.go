package cluster

import (
	"net/netip"
	"strings"
	"testing"
)

func TestTwoLabsHaveNothingInCommon(t *testing.T) {
	seen := map[string]string{}
	claimed := func(what, owner string) {
		if other, taken := seen[what]; taken {
			t.Errorf("%s belongs to %s and to %s", what, other, owner)
		}
		seen[what] = owner
	}
	var ranges []netip.Prefix
	for index := range labs {
		own := Layout{Name: "a", Index: index}
		claimed(own.HostLink(), "link "+own.HostLink())
		ranges = append(ranges, own.MachineRange(), own.PodRange(), own.ServiceRange())
		shared := Layout{Name: "a", Index: index, Shared: true}
		for _, port := range shared.SharedPorts() {
			claimed(netip.AddrPortFrom(shared.Address(), port).String(), own.HostLink())
		}
	}
	for i, a := range ranges {
		for _, b := range ranges[i+1:] {
			if a.Overlaps(b) {
				t.Errorf("%s overlaps with %s", a, b)
			}
		}
	}
}

func TestEveryAddressOfALabLiesInItsRanges(t *testing.T) {
	l := Layout{Name: "kruise", Index: labs - 1}
	for _, address := range []netip.Addr{l.HostAddress(), l.Address(), l.NodeAddress(1), l.NodeAddress(MaxNodes)} {
		if !l.MachineRange().Contains(address) {
			t.Errorf("%s is not in %s", address, l.MachineRange())
		}
	}
	for _, pods := range []netip.Prefix{l.NodePodRange(1), l.NodePodRange(MaxNodes)} {
		if !l.PodRange().Overlaps(pods) {
			t.Errorf("%s is not in %s", pods, l.PodRange())
		}
	}
	for _, address := range []netip.Addr{l.APIServerAddress(), l.DNSAddress()} {
		if !l.ServiceRange().Contains(address) {
			t.Errorf("%s is not in %s", address, l.ServiceRange())
		}
	}
}

func TestNamesOfLinksAreShortEnoughForTheKernel(t *testing.T) {
	const longest = 15
	l := Layout{Index: labs - 1}
	for _, name := range []string{l.HostLink(), l.NodeName(MaxNodes)} {
		if len(name) > longest {
			t.Errorf("%s has %d characters, and a link may have %d", name, len(name), longest)
		}
	}
}

func TestNamesOfLabsAreChecked(t *testing.T) {
	for name, good := range map[string]bool{
		"kruise": true, "e2e-1": true, "a": true, strings.Repeat("a", 30): true,
		"": false, "-a": false, "a-": false, "A": false, "a/b": false, "..": false, strings.Repeat("a", 31): false,
	} {
		if err := ValidateName(name); (err == nil) != good {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestALabWithoutRealNodesListensOnLoopbackOnly(t *testing.T) {
	l := Layout{Shared: true, Index: 3}
	if got, want := l.APIServer(), "https://127.0.0.1:21030"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := (Layout{Index: 3}).APIServer(), "https://10.77.3.2:6443"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
