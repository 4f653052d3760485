// Package machine runs the programs of one machine of a lab, be it the control plane or a node. A machine is one
// process, its keeper, that starts the programs, starts them again when they end, and may have namespaces of its
// own: network, mounts, processes, host name. It promises that the end of the keeper, however it comes about, is the
// end of everything on the machine: programs, containers, mounts and links. So nothing has to be undone step by
// step, and a lab that was interrupted at any moment leaves nothing but keepers behind.
package machine

import (
	"encoding/json"
	"fmt"
	"os"
)

// Spec is all that a keeper has to know. It travels as a JSON file.
type Spec struct {
	// Name is the name of the machine, and its host name when it is isolated.
	Name string `json:"name"`
	// Isolated machines have namespaces of their own, which needs root.
	Isolated bool `json:"isolated,omitempty"`
	// Mounts are made in order, before anything starts. Only for isolated machines.
	Mounts []Mount `json:"mounts,omitempty"`
	// Sysctls are settings below /proc/sys, such as net/ipv4/ip_forward, that belong to a namespace of the machine.
	Sysctls map[string]string `json:"sysctls,omitempty"`
	// Programs run for as long as the machine does.
	Programs []Program `json:"programs"`
	// Path is the search path of the programs.
	Path string `json:"path"`
}

// Mount is one mount of an isolated machine.
type Mount struct {
	// Bind is a file or folder to be seen at Target too, with all that is mounted below it.
	Bind string `json:"bind,omitempty"`
	// Type is the type of a file system, such as tmpfs, to be made at Target. One of Bind, Type and Text is set.
	Type string `json:"type,omitempty"`
	// Text is what the file Target says on this machine, whatever it says elsewhere.
	Text string `json:"text,omitempty"`
	// Target is where it appears.
	Target string `json:"target"`
}

// Program is one program of a machine.
type Program struct {
	Name string `json:"name"`
	// Command is the path of the program and its arguments.
	Command []string `json:"command"`
	// Env are settings of the environment besides the search path and the home folder.
	Env []string `json:"env,omitempty"`
	// Log is the file that collects its output.
	Log string `json:"log"`
	// Abrupt programs are killed when the machine stops, since they take long to end by themselves for no good.
	Abrupt bool `json:"abrupt,omitempty"`
	// After are the conditions that must hold before the program starts.
	After []Condition `json:"after,omitempty"`
}

// Condition is something on the machine that a program waits for. One of the fields is set.
type Condition struct {
	// File is a path at which there is something.
	File string `json:"file,omitempty"`
	// Socket is the path of a UNIX socket that accepts connections.
	Socket string `json:"socket,omitempty"`
	// URL is an address that answers with a status below 300. Its certificate is not verified: nothing is sent.
	URL string `json:"url,omitempty"`
}

// Write stores a spec where a keeper finds it.
func (s Spec) Write(path string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("describing machine %s: %w", s.Name, err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("describing machine %s: %w", s.Name, err)
	}
	return nil
}

// Read reads a spec.
func Read(path string) (Spec, error) {
	var s Spec
	data, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("reading the description of a machine: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("reading the description of a machine in %s: %w", path, err)
	}
	return s, nil
}
