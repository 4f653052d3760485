// Package images has the container runtime of a node pull what the node's NodeImage asks for.
//
// It promises: every task ends, succeeded or failed in words, unless it is taken back, the runtime stays away, or the daemon
// does; an image that is there is not pulled again unless its task says so; an attempt ends with its timeout, attempts that
// fail are repeated with growing pauses as often as the task allows, and all of them end with the task's deadline; a runtime
// that is away costs no attempt; limits that change while a task runs hold from the next attempt on; no more pulls run at a
// time than the node allows.
//
// A pull may be made more than once: who dies before the outcome is written pulls again, which costs a look at the layers that
// are there. An outcome is written once, since the task of a status that is final is not begun; an event is sent at most once,
// after the status that it speaks of. The status is written no more than once in two seconds, and not at all when nothing
// changed.
//
// Progress goes from 0 to 100 in one step: the Container Runtime Interface does not tell how far a pull is.
package images
