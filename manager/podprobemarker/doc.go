// Package podprobemarker is the kind PodProbeMarker: its admission and its status. What a marker asks for is carried out
// for each node, in manager/nodepodprobe.
//
// It promises that what was let in can be written on pods: names, labels and annotations that the API server would refuse
// on a pod are refused in the marker; and that a marker that is deleted goes at once, also one that another release holds
// by its finalizer, since nodes forget its probes by themselves.
package podprobemarker
