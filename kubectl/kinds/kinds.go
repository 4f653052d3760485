// Package kinds is what the plugin knows of each kind of workloads: how people call it, how it is read, what it wants of its
// pods, what its status says, and how its spec is changed.
//
// It promises that nothing is decided here. A View reads a workload with plan/workload, as its controller does, and hands on
// what that says in the words that all kinds share.
package kinds

import (
	"cmp"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/workload"
)

// Kind is a kind of workloads.
type Kind struct {
	// Name is its name, such as CloneSet.
	Name string
	// Word is how people are told to call it, Words is how else they may.
	Word  string
	Words []string
	// Native are words by which kubectl means a kind of Kubernetes, unless the group stands behind them.
	Native []string
	// Cluster says that its objects are in no namespace, and their pods in any.
	Cluster bool
	// Version is its group and version. Default: apps.kruise.io/v1beta1.
	Version schema.GroupVersion
	// New makes an empty workload, NewList an empty list of its objects.
	New     func() Workload
	NewList func() client.ObjectList
}

// All lists the kinds.
func All() []*Kind {
	return []*Kind{cloneSets(), statefulSets(), daemonSets(), sidecarSets()}
}

// Called finds the kind that a word names, with or without its group and version, among all workloads and some kinds more; nil
// for none.
func Called(word string, more ...*Kind) *Kind {
	word, group, qualified := strings.Cut(strings.ToLower(word), ".")
	for _, k := range append(All(), more...) {
		of := k.GroupVersion()
		if qualified && group != of.Group && group != of.Version+"."+of.Group {
			continue
		}
		bare, _, _ := strings.Cut(k.Word, ".")
		if slices.Contains(k.Words, word) || word == bare && k.Word == bare || qualified && slices.Contains(append(k.Native, bare), word) {
			return k
		}
	}
	return nil
}

// GroupVersion is the kind's group and version.
func (k *Kind) GroupVersion() schema.GroupVersion { return cmp.Or(k.Version, v1beta1.GroupVersion) }

// Owned are the objects that belong to a workload.
type Owned struct {
	workload.Owned
	// All are all the pods of its namespace, or those that it selects if it is in none, and AllClaims all the claims of the namespace, whoever controls them.
	All       []*corev1.Pod
	AllClaims []*corev1.PersistentVolumeClaim
	// NamespaceLabels tells the labels of a namespace, for kinds that are in none.
	NamespaceLabels func(name string) map[string]string
	// Nodes are the nodes of the cluster, for workloads that need them. NodesForbidden is true where they would be useful and may
	// not be listed.
	Nodes          []*corev1.Node
	NodesForbidden bool
	// Protection is what budgets protect its pods from.
	Protection
}

// Need says how much something is needed.
type Need int

// The needs.
const (
	// Needless: nothing turns on it.
	Needless Need = iota
	// Useful: what is said without it may be otherwise, and is told to be so.
	Useful
	// Needed: nothing can be said without it.
	Needed
)

// Sort sorts all the pods and claims that there are into those that a workload controls and those that nobody does.
func (o *Owned) Sort(of metav1.Object, pods []*corev1.Pod, claims []*corev1.PersistentVolumeClaim) {
	o.Pods, o.Unowned, o.Claims, o.AllClaims, o.All = nil, nil, nil, claims, pods
	exists := map[string]bool{}
	for _, pod := range pods {
		exists[pod.Name] = true
		switch controller := metav1.GetControllerOfNoCopy(pod); {
		case controller == nil:
			o.Unowned = append(o.Unowned, pod)
		case controller.UID == of.GetUID():
			o.Pods = append(o.Pods, pod)
		}
	}
	named := map[string]*corev1.PersistentVolumeClaim{}
	for _, claim := range claims {
		named[claim.Name] = claim
		if metav1.IsControlledBy(claim, of) {
			o.Claims = append(o.Claims, claim)
		}
	}
	o.PodExists = func(name string) bool { return exists[name] }
	o.Claim = func(name string) *corev1.PersistentVolumeClaim { return named[name] }
}

// Workload is one workload of a kind. What is changed of it counts from the next View on.
type Workload interface {
	// Kind is its kind.
	Kind() *Kind
	// Object is the workload itself.
	Object() client.Object
	// Copy is another workload that is the same.
	Copy() Workload
	// Selector selects its pods.
	Selector() *metav1.LabelSelector
	// Nodes says how much the nodes of the cluster are needed.
	Nodes() Need
	// View reads it with what belongs to it. newID makes up what tells new pods apart. The error names the field that cannot be
	// read.
	View(owned Owned, options workload.Options, newID func() string) (*View, error)
	// Change changes the spec. The error names each field, its value and the rule that it breaks; they are the rules of the API.
	Change(c Change) error
}

// View is a workload with what belongs to it, as its controller sees it.
type View struct {
	*workload.Revisions
	// Workload makes what steps need.
	Workload podset.Workload
	// Rules are what its pods go by; Replicas is how many are wanted.
	Rules podset.Rules
	// MaxSurge and Partition belong to the budget.
	MaxSurge, Partition int
	// Pods are its pods, Strays those that it owns and no longer selects.
	Pods, Strays []*corev1.Pod
	// Hooks and MinReadySeconds are those of the spec.
	Hooks           *v1beta1.Lifecycle
	MinReadySeconds int32
	// Policy is the field that says how one pod is updated, and its value.
	Policy string
	// OnDeleteRemedy says how pods are brought to the newest revision when only their end does that.
	OnDeleteRemedy string
	// BlockedRemedy says what to do about pods that cannot be updated in place and are not to be recreated. Default: to change
	// podUpdatePolicy.
	BlockedRemedy string
	// Strategy is the field that holds paused and partition. Default: spec.updateStrategy.rollingUpdate.
	Strategy string
	// ObservedGeneration and Conditions are those of the status.
	ObservedGeneration int64
	Conditions         []Condition
	// Assumptions are what could not be read and is taken to be so.
	Assumptions []string
	// Counts compares what the status says of pods with a tally.
	Counts func(t podset.Tally) []Count
	// Plan decides what to do now.
	Plan func(now time.Time) (podset.Plan, error)
	// Facts are the facts about Pods, in their order.
	Facts func(now time.Time) []replica.Replica
	// Act carries a plan out in a modelled cluster.
	Act func(w *world.World, plan podset.Plan) error
	// Report keeps in the status what the controller would, as far as decisions turn on it.
	Report func(t podset.Tally)
	// Revise makes the newest revision where it is no template of pods. Nil: it is one.
	Revise func() *appsv1.ControllerRevision
}

// NewRevision makes the newest revision, to be created.
func (v *View) NewRevision() *appsv1.ControllerRevision {
	if v.Revise != nil {
		return v.Revise()
	}
	return v.Revisions.NewRevision()
}

// Condition is a condition of a workload. Its JSON form is stable: fields may be added.
type Condition struct {
	Type    string    `json:"type"`
	Status  string    `json:"status"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
}

// Failed says whether the condition tells of a failure.
func (c *Condition) Failed() bool {
	return strings.HasPrefix(c.Type, "Failed") && c.Status == string(corev1.ConditionTrue)
}

// Late says whether the condition tells of a rollout that takes too long.
func (c *Condition) Late() bool {
	return c.Type == string(v1beta1.CloneSetConditionTypeProgressing) && c.Status == string(corev1.ConditionFalse)
}

// Count is what the status says of some pods, and what is seen.
type Count struct {
	// What is a word for the pods, such as ready.
	What string
	// Said is what the status says, Seen what is so.
	Said, Seen int
}
