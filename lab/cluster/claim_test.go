package cluster

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestLabsSideBySideGetPlacesOfTheirOwnAndGiveThemBack(t *testing.T) {
	home := t.TempDir()
	take := func(name string) Layout {
		t.Helper()
		dir := filepath.Join(home, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		state, err := claim(t.Context(), home, dir, State{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		saved, err := Load(dir)
		if err != nil || saved.Index != state.Index {
			t.Fatalf("the place is not written down: %+v, %v", saved, err)
		}
		return state.Layout(dir)
	}
	first, second := take("first"), take("second")
	if first.Index == second.Index {
		t.Fatalf("both labs have place %d", first.Index)
	}
	if err := release(home, first); err != nil {
		t.Fatal(err)
	}
	if third := take("third"); third.Index != first.Index {
		t.Errorf("the place %d that was given back is not taken again, but %d", first.Index, third.Index)
	}
	if err := os.RemoveAll(second.Dir); err != nil {
		t.Fatal(err)
	}
	if fourth := take("fourth"); fourth.Index != second.Index {
		t.Errorf("the place %d of a lab whose folder is gone is not taken again, but %d", second.Index, fourth.Index)
	}
	if err := release(home, first); err != nil || claimedBy(home, first.Index) == "" {
		t.Errorf("a lab gave back the place of another one: %v", err)
	}
}

func TestATakenPortIsNamedBeforeAnythingStarts(t *testing.T) {
	l := Layout{Name: "a", Index: labs - 1, Shared: true}
	address := net.JoinHostPort(l.Address().String(), strconv.Itoa(int(l.SharedPorts()[1])))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	err = free(t.Context(), l)
	if err == nil || !strings.Contains(err.Error(), "port 21151 on 127.0.0.1 is taken by process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("got %v, want the port and the process", err)
	}
}

func TestRoutesOfTheHostAreRespected(t *testing.T) {
	for name, tc := range map[string]struct {
		route string
		clash bool
	}{
		"the default route":              {"default via 192.168.0.1 dev eth0", false},
		"a network elsewhere":            {"192.168.0.0/24 dev eth0 proto kernel scope link src 192.168.0.7", false},
		"a network with our pods in it":  {"10.64.0.0/10 via 192.168.0.1 dev eth0", true},
		"a network within our pods":      {"10.80.3.0/24 dev docker0 proto kernel scope link", true},
		"one address among our services": {"10.96.0.10 via 192.168.0.1 dev eth0", true},
		"an address of the host itself":  {"local 10.77.0.5 dev eth1 table local proto kernel scope host src 10.77.0.5", true},
		"a network as wide as a company": {"10.0.0.0/8 via 192.168.0.1 dev tun0", false},
		"a lab that nobody remembers":    {"10.80.0.0/16 via 10.77.0.2 dev kruiselab0 src 10.77.0.1", true},
		"a blackhole":                    {"blackhole 10.80.0.0/16 proto bird", true},
		"a route of the next lab":        {"10.81.0.0/16 via 10.77.1.2 dev kruiselab1 src 10.77.1.1", false},
		"a broadcast address":            {"broadcast 192.168.0.255 dev eth0 table local proto kernel scope link src 192.168.0.7", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := overlap([]byte("default via 192.168.0.1 dev eth0\n"+tc.route+"\n"), Layout{Name: "a"})
			if (err != nil) != tc.clash {
				t.Fatalf("got %v", err)
			}
			if tc.clash && !strings.Contains(err.Error(), tc.route) {
				t.Errorf("%v does not name the route", err)
			}
		})
	}
}
