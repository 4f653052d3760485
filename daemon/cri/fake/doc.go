// Package fake is a container runtime for tests: it serves the Container Runtime Interface over a real unix socket, from
// memory, and misbehaves when it is told to.
//
// It promises that what became of containers can be read from it (their state, who stopped them, which commands ran), and
// that containers and images outlive its restarts, as those of a real runtime do. Nothing in it waits for a time: a call
// that is to be slow is held until the test lets go.
package fake
