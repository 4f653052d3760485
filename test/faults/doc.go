// Package faults runs the real reconcilers of CloneSets, StatefulSets, DaemonSets and SidecarSets, with everything that they
// stand on, on an API server in memory, while faults with names happen: caches lag behind, watches are lost, answers are lost,
// writes are refused, webhooks do not answer, the process dies between two writes, clocks differ, nodes are lost, hooks and others keep pods
// out of service, and users change their minds.
//
// A run is a script: one line for each thing that happens, drawn from a seed or read from testdata. Nothing happens that
// the script does not say: requests that the reconciler sends side by side are put in an order that the seed decides, so
// that the same script always gives the same run. After each write of the reconciler the promises of the product are
// checked against what it could know: the caches that it decided on, and everything that it wrote itself, whether the
// answer came back or not. In the end all faults stop, and the rollout must come to its end and to rest.
//
// A run that breaks a promise is made shorter, line by line, and printed in a form that testdata takes.
package faults
