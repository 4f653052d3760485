package preflight

import (
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestAFullDiskIsNamedWithWhatIsFreeAndWhatIsNeeded(t *testing.T) {
	dir := t.TempDir()
	notYetThere := filepath.Join(dir, "a", "b")
	if err := Space(notYetThere, 1, "the lab"); err != nil {
		t.Fatalf("one byte must be free: %v", err)
	}
	err := Space(notYetThere, math.MaxUint64, "the lab")
	if err == nil {
		t.Fatal("no disk is that large")
	}
	for _, want := range []string{dir, "free", "the lab needs", "make room"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %q", err, want)
		}
	}
}

func TestATakenPortIsNamedWithTheProcessThatHoldsIt(t *testing.T) {
	listening, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listening.Close()
	taken := netip.MustParseAddrPort(listening.Addr().String())
	err = Ports(taken.Addr(), taken.Port())
	if err == nil {
		t.Fatal("a port that is taken was called free")
	}
	for _, want := range []string{"port " + strconv.Itoa(int(taken.Port())), "process " + strconv.Itoa(os.Getpid()), "stop it"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %q", err, want)
		}
	}
	if err := Ports(netip.MustParseAddr("127.0.0.2"), taken.Port()); err != nil {
		t.Errorf("the same port of another address is free: %v", err)
	}
}

func TestListeningSocketsAreReadAsTheKernelPrintsThem(t *testing.T) {
	for name, tc := range map[string]struct {
		line string
		want string
	}{
		"an IPv4 listener": {
			"   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0",
			"127.0.0.1:6443",
		},
		"an IPv6 listener on every address": {
			"   1: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 77 1",
			"[::]:22",
		},
		"an IPv4 address in IPv6 clothes": {
			"   1: 0000000000000000FFFF00000100007F:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 77 1",
			"127.0.0.1:22",
		},
		"a connection is no listener": {
			"   0: 0100007F:192B 0100007F:8888 01 00000000:00000000 00:00000000 00000000     0        0 4242 1", "",
		},
		"the header": {"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseListener(tc.line)
			if ok != (tc.want != "") || (ok && got.endpoint.String() != tc.want) {
				t.Fatalf("got %v %v, want %q", got.endpoint, ok, tc.want)
			}
		})
	}
}

func TestMissingToolsComeWithTheLineThatInstallsThem(t *testing.T) {
	missing := Missing(t.Context(), []Tool{
		{Name: "sh", Package: "dash"},
		{Name: "no-such-program", Package: "zebra"},
		{Name: "no-such-headers", Package: "aardvark", Probe: []string{"false"}},
		{Name: "more-of-zebra", Package: "zebra", Probe: []string{"false"}},
	})
	got := MissingError{Tools: missing}.Error()
	for _, want := range []string{
		"lacks no-such-program, no-such-headers, more-of-zebra",
		"apt-get install --yes --no-install-recommends aardvark zebra\n",
		"--install-tools",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not contain %q", got, want)
		}
	}
}
