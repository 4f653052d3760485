package pod

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/podwebhook"
)

// +kubebuilder:rbac:groups="",resources=pods,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// reasonPrevented is the reason of the event about a pod that stays because of its budget.
const reasonPrevented = "PubPreventPodDeletion"

// validating sends requests through the chain.
type validating struct {
	world    *world
	chain    []validator
	decoder  admission.Decoder
	live     client.Reader
	recorder events.EventRecorder
}

// review is a request about a pod.
type review struct {
	operation podwebhook.Operation
	// pod is the pod as it is, after what it is to become, for an update.
	pod, after *corev1.Pod
	user       string
	// dry says that who asks wants to know alone, and rehearses that we do: nothing is spent either way.
	dry, rehearses bool
}

func (v *validating) answer(ctx context.Context, req *admission.Request) (admission.Response, error) {
	r, err := v.review(req)
	if err != nil {
		return admission.Response{}, err
	}
	if v.world.pods == nil { // no budget has anything to say
		return admission.Allowed(""), nil
	}
	if r.operation == podwebhook.Evict {
		return v.evict(ctx, client.ObjectKey{Namespace: req.Namespace, Name: req.Name}, r)
	}
	return v.judge(ctx, r)
}

// judge sends a request through the chain.
func (v *validating) judge(ctx context.Context, r *review) (admission.Response, error) {
	if r.pod.DeletionTimestamp != nil {
		return admission.Allowed(""), nil
	}
	for _, line := range v.chain {
		operation, takes := line.takes(r)
		if !takes {
			continue
		}
		answer, err := v.world.permits.Ask(ctx, permits.Request{
			Request: disruption.Request{Operation: operation, Pod: r.pod}, User: r.user, Dry: r.dry || r.rehearses,
		})
		if err != nil {
			return unanswered(r, fmt.Errorf("%s: %w", line.name, err))
		}
		if !answer.Permitted {
			log.FromContext(ctx).Info("Refused to take a pod out of service", "namespace", r.pod.Namespace, "pod", r.pod.Name,
				"operation", operation, "user", r.user, "dryRun", r.dry, "why", answer.Why)
			if !r.dry {
				v.recorder.Eventf(r.pod, nil, corev1.EventTypeWarning, reasonPrevented, string(operation), "%s by %s was refused: %.800s", operation, r.user, answer.Why)
			}
			return prevented(r, line.name+": "+answer.Why), nil
		}
	}
	return admission.Allowed(""), nil
}

// evict judges an eviction, which carries the name of its pod alone. The pod is read from the API server itself, since a cache that
// lags behind may call a pod away that is back; but where the pod is refused as the cache shows it, nobody is asked further,
// so that evictions that wait cost no reads. A pod that is gone is let through for the API server to say so.
func (v *validating) evict(ctx context.Context, key client.ObjectKey, r *review) (admission.Response, error) {
	if cached, exists := v.world.pods.Get(key); exists && disruption.Available(cached) {
		seen := *r
		seen.pod, seen.rehearses = cached, true
		if response, err := v.judge(ctx, &seen); err != nil || !response.Allowed {
			return response, err
		}
	}
	if err := v.live.Get(ctx, key, r.pod); apierrors.IsNotFound(err) {
		return admission.Allowed(""), nil
	} else if err != nil {
		return unanswered(r, fmt.Errorf("reading pod %s, which is to be evicted: %w", key, err))
	}
	return v.judge(ctx, r)
}

// review reads a request. That of an eviction knows no pod yet.
func (v *validating) review(req *admission.Request) (*review, error) {
	r := &review{pod: &corev1.Pod{}, user: req.UserInfo.Username, dry: req.DryRun != nil && *req.DryRun}
	switch req.Operation {
	case admissionv1.Create:
		eviction := &policyv1.Eviction{}
		if err := v.decoder.Decode(*req, eviction); err != nil {
			return nil, fmt.Errorf("reading the eviction: %w", err)
		}
		r.operation = podwebhook.Evict
		r.dry = r.dry || eviction.DeleteOptions != nil && slices.Contains(eviction.DeleteOptions.DryRun, metav1.DryRunAll)
		return r, nil
	case admissionv1.Update:
		r.operation, r.after = podwebhook.Update, &corev1.Pod{}
		if err := v.decoder.Decode(*req, r.after); err != nil {
			return nil, fmt.Errorf("reading the pod: %w", err)
		}
	default:
		r.operation = podwebhook.Delete
	}
	if err := v.decoder.DecodeRaw(req.OldObject, r.pod); err != nil {
		return nil, fmt.Errorf("reading the pod as it is: %w", err)
	}
	return r, nil
}

// unanswered gives no answer to a request of which nobody knows whether it is permitted, but to an eviction, which is refused:
// whoever drains a node tries again, and finds a permission that was stored all the same.
func unanswered(r *review, err error) (admission.Response, error) {
	if r.operation != podwebhook.Evict {
		return admission.Response{}, err
	}
	status := apierrors.NewTooManyRequests(fmt.Sprintf("nobody could be asked, try again: %v", err), 1).ErrStatus
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: &status}}, nil
}

// prevented refuses a request. An eviction is refused as the API server does for a budget of its own, so that whoever drains a
// node tries again; anything else as a request that is forbidden, as clients of this product know it.
func prevented(r *review, why string) admission.Response {
	status := metav1.Status{Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: why}
	if r.operation == podwebhook.Evict {
		status = apierrors.NewTooManyRequests(why, 0).ErrStatus
		status.Details = &metav1.StatusDetails{
			Name: r.pod.Name, Kind: "pods", Causes: []metav1.StatusCause{{Type: policyv1.DisruptionBudgetCause, Message: why}},
		}
	}
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: &status}}
}
