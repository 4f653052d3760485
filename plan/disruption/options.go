package disruption

import "kruise.io/kruise/api/policy/v1beta1"

// Options are what the user of the whole cluster decides about budgets.
type Options struct {
	// Deletions protects pods from deletions and evictions, Changes from updates and resizes.
	Deletions, Changes bool
	// ResizesApart protects pods from resizes only where a budget says RESIZE. Otherwise UPDATE stands for it, too.
	ResizesApart bool
}

// The feature gates that switch them. That of deletions is on by default.
const (
	GateDeletions    = "PodUnavailableBudgetDeleteGate"
	GateChanges      = "PodUnavailableBudgetUpdateGate"
	GateResizesApart = "InPlacePodVerticalScaling"
)

// Asks says whether anybody is to be asked about an operation.
func (o Options) Asks(operation v1beta1.PubOperation) bool {
	if operation == v1beta1.PubDeleteOperation || operation == v1beta1.PubEvictOperation {
		return o.Deletions
	}
	return o.Changes
}
