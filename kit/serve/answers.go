package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// answers waits until the API server says that it is ready, asking every so often, or until the context ends. A process that lost
// its leadership in an outage starts anew before that is over; and one that looked for its kinds before they are read would take them
// for missing. What is no outage, such as a certificate that nobody trusts, is for others to tell: answers returns then.
func answers(ctx context.Context, config *rest.Config, every time.Duration) error {
	config = rest.CopyConfig(config)
	config.QPS = -1 // it asks as often as it is told
	asking, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client to ask whether the API server answers: %w", err)
	}
	waited := false
	err = wait.PollUntilContextCancel(ctx, every, true, func(ctx context.Context) (bool, error) {
		err := asking.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		if ctx.Err() != nil { // which is what err may say
			return false, ctx.Err()
		}
		if !out(err) {
			if waited {
				log.FromContext(ctx).Info("The API server answers")
			}
			return true, nil
		}
		if !waited {
			log.FromContext(ctx).Info("The API server does not answer yet; waiting for it", "reason", err.Error())
		}
		waited = true
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the API server to answer: %w", err)
	}
	return nil
}

// out says whether an answer is that of an API server that is away, or not ready yet.
func out(err error) bool {
	if utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsTimeout(err) || utilnet.IsProbableEOF(err) {
		return true
	}
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code >= 500
}
