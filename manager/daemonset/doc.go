// Package daemonset is the kind DaemonSet: its controller, its admission and the conversion between its versions.
//
// It promises that a manifest of the DaemonSet of Kubernetes works once its apiVersion is changed, that a DaemonSet written
// in either version means the same, and that nodes are looked at when something changes that matters to one of the sets: a
// heartbeat wakes nobody.
//
// The controller is a sandwich: observe.go gathers facts from caches, decide.go asks plan/podset what to do, act.go has
// manager/podops carry it out, and report.go turns the outcome into status, conditions and events. What should happen
// is decided nowhere here.
package daemonset
