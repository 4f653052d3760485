// Package cri is the daemon's one port to container runtimes: version 1 of the Container Runtime Interface over gRPC, on
// the unix sockets of this node.
//
// It promises: only the calls that the daemon needs; each call ends, by a timeout of its own or with its context; a
// runtime that is restarted is found again without a restart of the daemon, and asked for its name and version anew; a
// runtime that does not serve the interface is named, with its socket, and not used; which runtime a container belongs to
// is read from the scheme of its ID, so a node may have several. No call is repeated here: StopContainer and PullImage can be
// repeated by the caller without harm, Exec cannot.
//
// Errors keep their gRPC status. Unreachable tells those that pass when the runtime comes back, and after which a call may
// have been carried out or not.
package cri
