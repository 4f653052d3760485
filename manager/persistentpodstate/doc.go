// Package persistentpodstate is the kind PersistentPodState: its admission, its status, which remembers where the pods of a
// StatefulSet run, and the objects that annotations of a StatefulSet ask for; a workload of a kind that the cluster's administrator
// lists is like a StatefulSet. Pods are sent back at their creation, in
// manager/pod; what to remember and what follows from it is decided in plan/affinity.
//
// It promises that what is remembered is read from caches alone and written when it changed; that an object which others made
// is neither changed nor deleted for the sake of an annotation; and that a pod which finds no room where it must run is named
// in an event.
package persistentpodstate
