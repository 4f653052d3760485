package manager

// What the manager may do in a cluster besides what each kind needs, which stands beside its code. The chart's roles are
// generated from these lines; what can be limited to one object or to the manager's own namespace is.
//
// Leader election: one lease.
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=kruise-system,resources=leases,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=kruise-system,resources=leases,resourceNames=kruise-manager,verbs=get;update
//
// Webhook certificates: one Secret in the manager's namespace, which whoever installs the manager makes, and the CA bundle in
// what calls the webhooks. Each is watched by its name, so no other object of its kind can be read.
// +kubebuilder:rbac:groups="",namespace=kruise-system,resources=secrets,resourceNames=kruise-webhook-certs,verbs=get;list;watch;update
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingwebhookconfigurations,resourceNames=kruise-mutating-webhook-configuration;kruise-pod-mutating-webhook-configuration,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingwebhookconfigurations,resourceNames=kruise-validating-webhook-configuration;kruise-pod-validating-webhook-configuration,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,resourceNames=clonesets.apps.kruise.io;daemonsets.apps.kruise.io;persistentpodstates.apps.kruise.io;sidecarsets.apps.kruise.io,verbs=get;list;watch;patch
//
// Events, about objects in any namespace.
// +kubebuilder:rbac:groups="";events.k8s.io,resources=events,verbs=create;patch
