package loop

import (
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/kit/turn"
)

// RateLimiter is that of the queue before a loop: what fails is tried again with pauses that grow as the loop's own do.
func RateLimiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](turn.FirstRetry, turn.LastRetry)
}
