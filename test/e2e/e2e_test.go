package e2e

import (
	"testing"

	"kruise.io/kruise/api/apps/v1beta1"
)

// story is a test in a namespace of its own.
type story struct {
	name string
	tell func(*space)
}

func TestWorkloadsOnARealCluster(t *testing.T) {
	c := start(t)
	// These leave the manager alone, so they run side by side.
	t.Run("while the manager runs", func(t *testing.T) {
		for _, story := range []story{
			{"the walk-through works word for word", walkThrough},
			{"an update in place keeps the pod and restarts only the container that changed", keepsThePod},
			{"a Service loses no request while the pods behind it are updated in place", losesNoRequest},
			{"a new tag of the same image completes", sameDigest},
			{"a change of metadata alone disturbs nothing", metadataOnly},
			{"an image that does not exist stops the update, which says why, and a good one or a rollback ends it", badImage},
			{"no more pods are away than maxUnavailable while they are updated in place", func(s *space) {
				keepsTheBudget(s, v1beta1.InPlaceIfPossiblePodUpdatePolicyType)
			}},
			{"no more pods are away than maxUnavailable while they are recreated", func(s *space) {
				keepsTheBudget(s, v1beta1.RecreatePodUpdatePolicyType)
			}},
			{"a partition holds an update half-way until it is lowered", partitionHolds},
			{"a paused update stops and still scales", pauseStops},
			{"extra pods stand in for those that are recreated", surgeStandsIn},
			{"the number of pods can change in the middle of an update", scalesInTheMiddle},
			{"the scale subresource changes the number of pods in the middle of an update", scaledBySubresource},
			{"an autoscaler changes the number of pods in the middle of an update", scaledByAutoscaler},
			{"pods that are named go first", namedPodsGo},
			{"the walk-through of pods that are chosen works word for word", walkThroughChoice},
			{"the plugin says why an update is stuck and what to do, to somebody who may only look", pluginExplains},
			{"what the plugin foretells is what happens", pluginForetells},
			{"a hook holds a pod that is to be deleted, out of service, until it lets go", hookHoldsADeletion},
			{"a finalizer holds a pod that is to be deleted, and a pod that is wanted again is kept", finalizerHoldsADeletion},
			{"a hook holds each pod before and after its update in place", hookHoldsAnUpdate},
			{"a hook holds a new pod until it is warm", hookHoldsANewPod},
			{"claims stay through an update in place and go with their pod", claimsFollow},
			{"claims that are used again keep what is in them when a pod vanishes or is recreated", claimsSurvive},
			{"claims that are not used again go with a pod that vanishes or is recreated", claimsGo},
			{"a StatefulSet is used as the native one is, and updated in place", walkThroughStatefulSet},
			{"pods of a StatefulSet come and go one after the other, and find their volumes again", oneAfterTheOther},
			{"pods of a StatefulSet with volumes are updated in place, two at a time", ordinalsInPlace},
			{"a StatefulSet whose last pod cannot start is repaired by a good image", brokenOrdinal},
			{"a DaemonSet is used as the native one is, and updated in place", walkThroughDaemonSet},
			{"a new pod of a DaemonSet stands beside the old one on each node until it is ready", surgesOnNodes},
			{"pods of a DaemonSet are updated in place, two nodes at a time", inPlaceOnNodes},
			{"an image that does not exist stops the update of a DaemonSet at the first node", badImageOnNodes},
			{"a hook holds a pod of a DaemonSet that is to be replaced, and nodes without a pod wait for a partition", heldOnNodes},
			{"a DaemonSet has no pod on a node that is gone, and one when it is back", nodeGoneAndBack},
			{"a partition, a selector and a pause say on which nodes a DaemonSet is updated", someNodesFirst},
			{"pods of a DaemonSet are left alone until they are deleted, where OnDelete says so", deletedOnNodes},
			{"no more pods of a DaemonSet are created or updated at a time than burstReplicas", burstOnNodes},
			{"an image that does not exist stops the update at the extra pod", badImageOfAnExtraPod},
			{"a change that cannot be made in place is refused once where pods may not be recreated", refused},
			{"the walk-through of a sidecar works word for word", walkThroughSidecars},
			{"a sidecar in pods of a CloneSet shares what they have", injectedAlike},
			{"sidecars are upgraded in place while the container beside them runs on", sidecarsInPlace},
			{"a sidecar that is upgraded by its twin loses no request", hotUpgrade},
			{"a label that is in the environment changes in place", renewsEnvironment},
			{"an annotation that is in the environment of pods of a StatefulSet changes in place", renewsEnvironmentOfOrdinals},
			{"the containers of a pod start in the order that it asks for", launchesInOrder},
			{"a pod of a StatefulSet that is made anew returns to its node", returnsToItsNode},
			{"a pod of an Advanced StatefulSet that an update recreates returns to its node", returnsAfterAnUpdate},
			{"what the nodes probe stands on the pods", probesMark},
			{"the walk-through of a restarted container works word for word", restartsContainer},
			{"a second request for a pod waits for the first", queues},
			{"the walk-through of an image pulled ahead works word for word", pullsImage},
			{"an image that cannot be pulled ahead says why", cannotPull},
			{"an image that wants a password is pulled ahead with it alone", pullsPrivately},
			{"a list of images is pulled ahead", pullsList},
			{"the token of a daemon is worth no more than its node", tiedToItsNode},
			{"a node that is cut off in the middle of an update holds it up, and one that is gone is done without", nodeCutOff},
		} {
			t.Run(story.name, func(t *testing.T) {
				t.Parallel()
				story.tell(c.space(t))
			})
		}
	})
	t.Run("with more gates", func(t *testing.T) {
		openGates(c.space(t))
		for _, story := range []story{
			{"cpu changes without a restart", resizesWithoutRestart},
			{"more cpu than a node has stops the update", resizesTooMuch},
			{"memory changes with a restart where the container wants one", resizesWithRestart},
			{"pods go back in place when the partition is raised", rollsBack},
			{"claims that do not fit their changed templates are replaced with their pods, and others are used again", claimsChange},
			{"images are pulled ahead of an update, whose second batch does not wait for them", pullsAhead},
			{"images are pulled ahead of the update of a DaemonSet, once a node has tried it", pullsAheadOnNodes},
			{"the walk-through of volumes that grow works word for word", walkThroughVolumes},
			{"a namespace is not deleted while it has pods and its label protects it", keepsNamespace},
			{"volumes of a StatefulSet grow before their pods are updated", claimsGrow},
			{"the sidecars of a job end with its work", endsSidecars},
			{"an update in place waits for the budget of its pods", budgetHoldsUpdate},
		} {
			t.Run(story.name, func(t *testing.T) {
				t.Parallel()
				story.tell(c.space(t))
			})
		}
	})
	// These take a node, the API server or the manager away, so they run alone.
	for _, story := range []story{
		{"a drain waits for the budget of its pods, and goes on", drainWaits},
		{"an update goes on when the API server is killed", apiServerKilled},
		{"an update goes on when its leader is killed", leaderKilled},
		{"pods start and stop undisturbed while no manager runs", nothingWaits},
		{"upgrading and uninstalling leave everything running, and installing again takes over without a restart", uninstalled},
	} {
		t.Run(story.name, func(t *testing.T) { story.tell(c.space(t)) })
	}
}
