// Package pod is the admission of pods: what may be changed in a pod that is about to be created, in one chain, and for
// which pods the API server asks.
//
// It promises that a cluster never depends on the manager to start a pod that is not ours. The webhooks for pods are
// kept as narrow as the objects that exist ask for (plan/podwebhook): where none asks there is no webhook, and the
// namespaces kube-system and kube-public and the manager's own are never in one. Each line of the chain says what becomes
// of the pods that ask for it while no manager answers.
//
// chain.go is the list. Facts are gathered once for a pod, from caches, and the lines are pure functions over them, each
// of which may be carried out twice without harm: the API server may ask twice. configuration.go keeps the webhooks.
package pod
