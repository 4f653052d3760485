package preflight

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Ports returns an error that names the first TCP port of an address that another process listens on, and that
// process where it can be known.
func Ports(address netip.Addr, ports ...uint16) error {
	listening, err := listeners("/proc")
	if err != nil {
		return err
	}
	for _, port := range ports {
		for _, l := range listening {
			if l.endpoint.Port() != port || (l.endpoint.Addr() != address && !l.endpoint.Addr().IsUnspecified()) {
				continue
			}
			return fmt.Errorf("port %d on %s is taken by %s: stop it, or start the lab under another --name",
				port, address, owner("/proc", l.inode))
		}
	}
	return nil
}

// listener is one listening TCP socket.
type listener struct {
	endpoint netip.AddrPort
	inode    string
}

// listeners reads the listening TCP sockets of this network namespace.
func listeners(proc string) ([]listener, error) {
	var found []listener
	for _, table := range []string{"tcp", "tcp6"} {
		file, err := os.Open(filepath.Join(proc, "self/net", table))
		if errors.Is(err, os.ErrNotExist) {
			continue // A kernel without IPv6.
		}
		if err != nil {
			return nil, fmt.Errorf("listing listening sockets: %w", err)
		}
		scanner := bufio.NewScanner(file)
		for scanner.Scan() {
			if l, ok := parseListener(scanner.Text()); ok {
				found = append(found, l)
			}
		}
		err = errors.Join(scanner.Err(), file.Close())
		if err != nil {
			return nil, fmt.Errorf("listing listening sockets: %w", err)
		}
	}
	return found, nil
}

// parseListener reads a line of /proc/net/tcp: "sl local_address rem_address st ... inode".
func parseListener(line string) (listener, bool) {
	const stateListen = "0A"
	fields := strings.Fields(line)
	if len(fields) < 10 || fields[3] != stateListen {
		return listener{}, false
	}
	host, port, ok := strings.Cut(fields[1], ":")
	if !ok {
		return listener{}, false
	}
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw)%4 != 0 {
		return listener{}, false
	}
	// The kernel prints each 32-bit word of the address in the byte order of the machine, which is little endian on
	// every machine that the lab's parts are built for.
	for word := 0; word < len(raw); word += 4 {
		raw[word], raw[word+1], raw[word+2], raw[word+3] = raw[word+3], raw[word+2], raw[word+1], raw[word]
	}
	address, ok := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return listener{}, false
	}
	return listener{endpoint: netip.AddrPortFrom(address.Unmap(), uint16(number)), inode: fields[9]}, true
}

// owner says in words which process holds a socket.
func owner(proc, inode string) string {
	links, _ := filepath.Glob(filepath.Join(proc, "[0-9]*/fd/*")) // The pattern is well formed.
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != "socket:["+inode+"]" {
			continue
		}
		pid := filepath.Base(filepath.Dir(filepath.Dir(link)))
		name, err := os.ReadFile(filepath.Join(proc, pid, "comm"))
		if err != nil {
			return "process " + pid
		}
		return fmt.Sprintf("process %s (%s)", pid, strings.TrimSpace(string(name)))
	}
	if unix.Geteuid() != 0 {
		return "a process of another user"
	}
	return "a process that cannot be seen from here"
}
