// Package workload reads a workload together with all that belongs to it, as decisions see it: what is wanted, the facts
// about its pods, its revisions and claims, and how a new pod of it looks.
//
// A controller, the modelled cluster and the command line read the same objects through it, so they decide the same.
package workload
