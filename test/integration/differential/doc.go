// Package differential proves that our workloads and native ones do the same where they mean the same: CloneSet and Deployment,
// and the StatefulSets and the DaemonSets of both groups.
//
// Both live on one real API server, with the same spec and the same edits at the same times. Native ones are worked on by
// kube-controller-manager itself, ours by our controller step by step, and one modelled kubelet and scheduler plays the
// pods of both. It promises that both come to the same end, and that on the way neither CloneSet nor Deployment breaks what it
// says of its number of pods, nor CloneSet what it says of those that serve.
//
// Specs and edits are made up at random, each case from a seed that names its test, so that a case can be run again:
//
//	go test ./test/integration/differential -run 'TestDeployment.*/seed_7$'
//	go test ./test/integration/differential -run 'TestStatefulSet.*/seed_7$'
//	go test ./test/integration/differential -run 'TestDaemonSet.*/seed_7$'
//
// The flag -rapid.checks runs more cases, and -rapid.seed begins at another seed.
//
// Where the two differ by their documentation, the cases keep away from it or no comparison is made:
//
//   - A share of maxUnavailable is rounded up by CloneSet where nothing may surge, and always down by Deployment, which then
//     takes 1 for 0. It shows on the way and not at the end: each is held to its own number.
//   - A paused CloneSet uses no surge, a paused Deployment does when it is scaled. Cases end resumed.
//   - A Deployment bounds what it asks of its ReplicaSets, which may be behind. CloneSet bounds the pods themselves.
//   - CloneSet refuses maxUnavailable and maxSurge that are both 0, so no case has them.
//   - With OrderedReady a native StatefulSet waits for ever for a pod that cannot start, and ours replaces it once the template
//     is repaired. Images that cannot be pulled come with Parallel.
//   - Which pods of a DaemonSet or StatefulSet keep an older revision, or a node that got a taint, depends on the moment. Such
//     cases come to rest before each edit, and are compared each time.
//   - To update it, a native DaemonSet deletes a pod on a node that got a taint with NoSchedule, which then has none. Ours leaves it
//     as it is. No case changes the template of pods that may be there.
//   - A native StatefulSet that is updated OnDelete never takes its newest revision for the current one, and ours does once all
//     pods have it. What the status says of that is not compared then.
//   - Ours gives pods labels and readiness gates of its own, and native DaemonSets a label that counts changes of the template.
//     They are left out.
//   - A template that is changed while a CloneSet is paused is a revision of it at once, and one of a Deployment when it is resumed.
//     The histories of such a case are only held to revisionHistoryLimit.
//   - A paused Deployment says so also when it is complete or late, a CloneSet when it is neither.
//   - The native controllers' clock is ahead of ours. Deadlines that were missed on the way are only compared in a case of their own,
//     and no case of StatefulSets or DaemonSets has minReadySeconds.
package differential
