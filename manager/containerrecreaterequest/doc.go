// Package containerrecreaterequest is the manager's part of ContainerRecreateRequests: their admission, and the controller that
// holds pods out of service, tells the node's agent what kubelet says, and ends what the agent cannot end.
//
// plan/restart decides. A request that is admitted says all that the agent needs to know of the pod, so the agent asks nobody.
package containerrecreaterequest
