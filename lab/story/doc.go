// Package story plays scripts of what happens to a workload in a modelled world, and writes logs that a person can read.
//
// A story is a txtar archive with the manifest of a workload and a script. Play promises that the same story always
// gives the same log, and that nothing in it breaks a promise of package podset: each plan, and the world before and after
// each write, are checked (CheckPlan and its like, CheckService, CheckOwnership, and the budget). What the controller does:
//
//	rest                       let controller and cluster act until nothing happens any more
//	wait <duration>            let them act for so long
//	crash <n>                  let the manager end after n writes of its next turn, and begin anew from what the cluster says
//	status                     write down the counts of the status
//	images <pod>               write down which images the containers of a pod truly run
//
// What users do:
//
//	patch <yaml>               merge into the workload; containers are merged by name, other lists are replaced
//	image <container>=<image>  change an image of the template
//	gate <name>                open a feature gate
//	label <pod> <key>=<value>  label a pod; <key>- takes the label away. annotate does the same to annotations
//	finalizer <pod> <name>     put a finalizer on a pod; <name>- takes it away
//	delete <pod>               delete a pod, as kubectl does; delete-claim does the same to a claim
//	stranger <pod> [claim]     create a pod of somebody else, which may have a claim
//	pods <n> <key>=<value>     create so many pods with these labels, if any, into which a SidecarSet is injected
//
// What happens in the cluster:
//
//	evict <pod>                end a pod as kubelet does on a full node: it stays, in the phase Failed
//	lose <pod>                 take a pod away at once, as when its node is gone for good
//	nodes <n>                  have so many nodes: node-0, node-1, and so on. There are three at first
//	node <node> <key>=<value>  label a node, which is added if it is new; <key>- takes the label away. The label may be missing
//	remove-node <node>         take a node away, with the pods that run there
//	cordon <node>              have a node take no new pods; uncordon ends that
//	taint <node> <key>:<effect>  taint a node; a - behind it takes the taint away
//	fill <node>                leave a node no room for more pods; empty makes room
//	lose-node <node>           make the kubelet of a node silent; find-node lets it speak again
//	bad <image>                make an image one that cannot be pulled; good repairs it
//	unready <image>            make an image one whose containers never get ready; good repairs it
//	crash-image <image>        make an image one whose containers end soon after each start; good repairs it
//	digest <image>=<digest>    give an image a digest, which others may share
//	resize <answer>            have kubelets answer to other resources: at-once, as at first, deferred, or infeasible
//	grow <answer>              have volumes grow with their claims at-once, as at first, never, or at-restart of their pod
//	agent                      put an agent on each node that restarts containers for another environment
//	old-kubelet                have kubelets that do not report the generation that they saw
//
// What follows a # is a remark.
//
// The log says for each second with news how the pods look to the controller, its steps behind ->, and behind -- what is
// wanted and makes no step. Claims are told where there are any, and so are pods that the set has let go.
package story
