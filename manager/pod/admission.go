package pod

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const (
	// mutatePath is where pods are sent that are about to be created.
	mutatePath = "/mutate-pod"
	// validatePath is where requests are sent that change, delete or evict pods.
	validatePath = "/validate-pod"
)

// setupWebhooks serves the chains on the manager's webhook server.
func setupWebhooks(mgr ctrl.Manager, w *world, synced func() bool) {
	decoder := admission.NewDecoder(mgr.GetScheme())
	for path, handler := range map[string]admission.Handler{
		mutatePath: &mutating{world: w, chain: chain(), decoder: decoder},
		validatePath: &validating{
			world: w, chain: validators(), decoder: decoder, live: mgr.GetAPIReader(), recorder: mgr.GetEventRecorder("pod-webhook"),
		},
	} {
		mgr.GetWebhookServer().Register(path, &whenSynced{synced: synced, next: &admission.Webhook{Handler: handler}})
	}
}

// whenSynced answers once the caches are filled. Before that it answers as a manager that is not there, so that the policy
// of the webhook decides, and no pod is let through unchanged because its objects were not seen yet.
type whenSynced struct {
	synced func() bool
	next   http.Handler
}

// ServeHTTP implements http.Handler.
func (h *whenSynced) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.synced() {
		http.Error(w, "the manager has not read the cluster's objects yet", http.StatusServiceUnavailable)
		return
	}
	h.next.ServeHTTP(w, r)
}

// mutating sends a pod through the chain.
type mutating struct {
	world   *world
	chain   []mutator
	decoder admission.Decoder
}

// Handle implements admission.Handler.
func (m *mutating) Handle(ctx context.Context, req admission.Request) admission.Response {
	pod := &corev1.Pod{}
	if err := m.decoder.Decode(req, pod); err != nil {
		return admission.Errored(http.StatusBadRequest, fmt.Errorf("reading the pod: %w", err))
	}
	// What this build does not know of a pod is in neither of the two that are compared, and so stays as it is.
	before, err := json.Marshal(pod)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, fmt.Errorf("encoding the pod: %w", err))
	}
	if pod.Namespace == "" {
		pod.Namespace = req.Namespace
	}
	facts, err := m.world.factsOf(ctx, pod)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	for _, line := range m.chain {
		if errs := line.change(pod, facts); len(errs) > 0 {
			return refused(line.name, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind(), pod.Name+pod.GenerateName, errs))
		}
	}
	after, err := json.Marshal(pod)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, fmt.Errorf("encoding the pod: %w", err))
	}
	response := admission.PatchResponseFromRaw(before, after)
	response.Warnings = facts.warnings
	return response
}

// refused tells a user what is wrong with the pod, and which line of the chain found it.
func refused(line string, err *apierrors.StatusError) admission.Response {
	status := err.Status()
	status.Message = line + ": " + status.Message
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: &status}}
}
