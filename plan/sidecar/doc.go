// Package sidecar decides which SidecarSets a pod carries and what they put into it.
//
// It promises: a pod of the same identity gets the same sidecars whatever the order in which the sets are seen; putting them
// in twice changes nothing; what the pod's author wrote stays as it is, but for a container that has the name of a sidecar,
// which is replaced where it stands, and for annotations that a set is allowed to overwrite; what cannot be injected as a
// set says is a problem with words, and never half a sidecar.
//
// The words that it leaves on pods are the wire contract's, so that pods that another manager injected are ours, and the
// other way round. Where several sets have a say, they come in the order of their names.
package sidecar
