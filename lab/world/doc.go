// Package world is a small model of a cluster: pods as plain data, a clock that moves only when told, one kubelet and
// scheduler for all nodes, and an executor that carries out the steps of a plan with the same patches as the real one.
//
// It promises what decisions rely on and no more: a status lags behind what runs, as with a real kubelet; a container
// restarts when its image in the spec changes and at no other time; an image that cannot be pulled never starts; Ready
// is False while a readiness gate is not True, and on a node that is lost, where pods neither change nor end. The API is modelled where it refuses: a patch for another UID, and a
// change of a pod's spec that is not an image. Pods are never written in place, so a pod that was read stays as it was.
package world
