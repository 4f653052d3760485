// Package recreate carries out ContainerRecreateRequests on a node: it stops containers, which kubelet then starts again.
//
// What is done when is decided by plan/restart; what is promised of hooks and stops is said there. A stop runs beside the
// reconciler, so that a long preStop hook holds up nobody else. Once begun it is carried through: when the request is
// deleted, while the API server is away, and through restarts of the runtime. A process that is told to end finishes its stops
// for as long as it is let; what is left, the next process finishes without running a hook again. One process works on a node
// at a time.
package recreate
