// Package probe probes containers of the pods on this node, as the NodePodProbe of the node says, and reports in its status
// what was found.
//
// It promises: each probe is made by itself and in its own time, so that one that hangs holds up no other; several probes of
// one container are told apart; a probe that changed is made as it is now, at once; the status is written when something
// was found that it does not say, and not for each attempt; what a probe found stands until something else is found, also
// while a container or this process is started anew; and an event says so once.
//
// What attempts add up to is decided by plan/probe.
package probe
