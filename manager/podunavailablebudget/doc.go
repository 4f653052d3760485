// Package podunavailablebudget is the kind PodUnavailableBudget: its admission and its status. Permission to take a pod out of
// service is given in manager/permits; here is counted how much may be given.
//
// It promises that a budget counts, and protects, the pods that exist as well as those to come, whichever of them is there
// first; that its status is written against the version that it was counted from, so that no permission is lost from it; that a
// permission of which nothing came is given back once the API server itself says so; and that while nobody knows how many
// pods there should be, none may go.
package podunavailablebudget
