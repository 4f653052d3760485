package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"kruise.io/kruise/lab/preflight"
)

// claim reserves an index for a new lab in a folder: the lowest that no other lab of this user has and whose addresses
// and ports are free on this machine. It returns the state with the index, and saves it. The reservation is a file
// that names the folder of the lab; it is void when there is no state in that folder.
func claim(ctx context.Context, home, dir string, state State) (State, error) {
	unlock, err := lockFile(ctx, claimsLock(home))
	if err != nil {
		return State{}, err
	}
	defer unlock()
	var reasons []error
	for index := range labs {
		state.Index = index
		l := state.Layout(dir)
		if owner := claimedBy(home, index); owner != "" {
			reasons = append(reasons, fmt.Errorf("the addresses of place %d belong to the lab in %s", index, owner))
			continue
		}
		if err := free(ctx, l); err != nil {
			reasons = append(reasons, err)
			continue
		}
		if err := os.WriteFile(claimFile(home, index), []byte(l.Dir), 0o600); err != nil {
			return State{}, fmt.Errorf("reserving addresses for the lab: %w", err)
		}
		return state, state.Save(dir)
	}
	return State{}, fmt.Errorf("none of the %d places for a lab on this machine is free:\n%w", labs, errors.Join(reasons...))
}

// release gives the index of a lab back.
func release(home string, l Layout) error {
	if claimedBy(home, l.Index) != l.Dir {
		return nil
	}
	if err := os.Remove(claimFile(home, l.Index)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("giving the addresses of the lab back: %w", err)
	}
	return nil
}

func claimsLock(home string) string { return filepath.Join(home, ".claims", "lock") }

func claimFile(home string, index int) string {
	return filepath.Join(home, ".claims", strconv.Itoa(index))
}

// claimedBy returns the folder of the lab that has an index. Empty: none.
func claimedBy(home string, index int) string {
	dir, err := os.ReadFile(claimFile(home, index))
	if err != nil {
		return ""
	}
	if _, err := Load(string(dir)); errors.Is(err, ErrNoLab) {
		return ""
	}
	return string(dir)
}

// free returns an error when something on this machine uses what a lab would use.
func free(ctx context.Context, l Layout) error {
	if l.Shared {
		return preflight.Ports(l.Address(), l.SharedPorts()...)
	}
	routes, err := exec.CommandContext(ctx, "ip", "-4", "-oneline", "route", "show", "table", "all").Output()
	if err != nil {
		return fmt.Errorf("listing the routes of this machine: %w", err)
	}
	return overlap(routes, l)
}

// overlap returns an error when a route of the host, as ip prints them, leads to an address of the lab. A route as
// wide as a /8 is no obstacle: ours are narrower and win, for addresses that such a network hardly uses all of.
func overlap(routes []byte, l Layout) error {
	scanner := bufio.NewScanner(bytes.NewReader(routes))
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 2 {
			continue
		}
		destination, found := parseDestination(fields[0])
		if !found { // The type of the route comes first, such as local or blackhole.
			destination, found = parseDestination(fields[1])
		}
		if !found || destination.Bits() <= 8 {
			continue
		}
		for _, ours := range []netip.Prefix{l.MachineRange(), l.PodRange(), l.ServiceRange()} {
			if ours.Overlaps(destination) {
				return fmt.Errorf("the route %q of this machine overlaps with %s", strings.TrimSpace(scanner.Text()), ours)
			}
		}
	}
	return scanner.Err()
}

// parseDestination reads a network or a single address. The default route is neither.
func parseDestination(text string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix, true
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(address, address.BitLen()), true
}
