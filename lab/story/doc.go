// Package story plays scripts of what happens to a workload in a modelled world, and writes logs that a person can read.
//
// A story is a txtar archive with the manifest of a CloneSet and a script. Play promises that the same story always
// gives the same log. A line of the script is one of
//
//	rest                       let controller and cluster act until nothing happens any more
//	wait <duration>            let them act for so long
//	patch <yaml>               merge into the CloneSet, as kubectl patch --type merge does
//	image <container>=<image>  change an image of the template
//	bad <image>, good <image>  make an image one that cannot be pulled, or repair it
//	label <pod> <key>=<value>  label a pod; <key>- takes the label away
//	lose <pod>                 take a pod away at once, as when its node is lost
//
// and what follows a # is a remark.
package story
