package v1beta1

// The conditions of a SidecarSet.
const (
	// SidecarSetConditionProgressing says how far the upgrade of running pods is and, where it stands still, why.
	SidecarSetConditionProgressing = "Progressing"
	// SidecarSetConditionReconciling is there, and True, while the set is on its way to what is wanted. Tools that follow
	// kstatus wait for it to go.
	SidecarSetConditionReconciling = "Reconciling"
	// SidecarSetConditionStalled is there, and True, while what has to be done fails. Tools that follow kstatus take it for a
	// failure.
	SidecarSetConditionStalled = "Stalled"
)

// The reasons of SidecarSetConditionProgressing.
const (
	// SidecarSetUpdating says that the upgrade goes on, or cannot go on.
	SidecarSetUpdating = "SidecarSetUpdating"
	// SidecarSetUpdated says that all pods have the newest revision.
	SidecarSetUpdated = "SidecarSetUpdated"
	// SidecarSetPaused says that the upgrade is paused.
	SidecarSetPaused = "SidecarSetPaused"
	// SidecarSetUpdatedAsWanted says that all pods have the newest revision that updateStrategy lets have it, and that can.
	SidecarSetUpdatedAsWanted = "SidecarSetUpdatedAsWanted"
)
