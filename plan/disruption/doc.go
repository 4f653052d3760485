// Package disruption decides over PodUnavailableBudgets: how many pods there should be, are available and may go, whether a
// request that takes a pod out of service is permitted, and when a permission that came to nothing is given back.
//
// It promises that a budget is never spent twice. A permission is written down in the status of the budget together with what
// it spends, and the pod counts as gone from then on: until it is seen to be on its way out, or until the permission
// expires because nothing came of it. A request that is permitted by an earlier record always has half of its time left, so
// that it is carried out or has failed before the record expires. Who decides on a status that others have changed meanwhile
// must decide again; nothing else is asked of whoever stores it. No permission is lost for longer than a record lasts.
//
// What nobody asked us about (a crash, a node that is lost) can take more pods away than a budget allows; then no pod may go.
package disruption
