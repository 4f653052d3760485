package pod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
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
	for path, asked := range map[string]answering{
		mutatePath: &mutating{world: w, chain: chain(), decoder: decoder},
		validatePath: &validating{
			world: w, chain: validators(), decoder: decoder, live: mgr.GetAPIReader(), recorder: mgr.GetEventRecorder("pod-webhook"),
		},
	} {
		mgr.GetWebhookServer().Register(path, &answers{synced: synced, of: asked})
	}
}

// answering works out the answer to a request. With an error there is none.
type answering interface {
	answer(context.Context, *admission.Request) (admission.Response, error)
}

// answers replies to requests once the caches are filled, if it can. Where it cannot it does as a manager that is not there, so
// that the policy of the webhook decides: no pod is let through unchanged because its objects were not seen yet, nor refused
// for what is our fault alone where it may do without us.
type answers struct {
	synced func() bool
	of     answering
}

// ServeHTTP implements http.Handler.
func (h *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.synced() {
		http.Error(w, "the manager has not read the cluster's objects yet", http.StatusServiceUnavailable)
		return
	}
	out := &replaced{ResponseWriter: w, err: errors.New("the request cannot be read")}
	webhook := &admission.Webhook{Handler: admission.HandlerFunc(func(ctx context.Context, req admission.Request) admission.Response {
		out.err = errors.New("the manager failed while it worked out an answer, as its log tells")
		response, err := h.of.answer(ctx, &req)
		if out.err = err; err != nil {
			log.FromContext(ctx).Error(err, "Gave no answer about a pod, so the failure policy of the webhook decides")
			return admission.Errored(http.StatusInternalServerError, err)
		}
		return response
	})}
	webhook.ServeHTTP(out, r)
}

// replaced writes an error in place of what it is told to write, while there is one.
type replaced struct {
	http.ResponseWriter
	err error
}

// Write implements io.Writer. An answer is written at once.
func (w *replaced) Write(text []byte) (int, error) {
	if w.err == nil {
		return w.ResponseWriter.Write(text)
	}
	http.Error(w.ResponseWriter, w.err.Error(), http.StatusInternalServerError)
	return len(text), nil
}

// mutating sends a pod through the chain.
type mutating struct {
	world   *world
	chain   []mutator
	decoder admission.Decoder
}

func (m *mutating) answer(ctx context.Context, req *admission.Request) (admission.Response, error) {
	pod := &corev1.Pod{}
	if err := m.decoder.Decode(*req, pod); err != nil {
		return admission.Response{}, fmt.Errorf("reading the pod: %w", err)
	}
	// What this build does not know of a pod is in neither of the two that are compared, and so stays as it is.
	before, err := json.Marshal(pod)
	if err != nil {
		return admission.Response{}, fmt.Errorf("encoding the pod: %w", err)
	}
	if pod.Namespace == "" {
		pod.Namespace = req.Namespace
	}
	facts, err := m.world.factsOf(ctx, pod)
	if err != nil {
		return admission.Response{}, err
	}
	for _, line := range m.chain {
		if errs := line.change(pod, facts); len(errs) > 0 {
			return refused(line.name, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind(), pod.Name+pod.GenerateName, errs)), nil
		}
	}
	after, err := json.Marshal(pod)
	if err != nil {
		return admission.Response{}, fmt.Errorf("encoding the pod: %w", err)
	}
	response := admission.PatchResponseFromRaw(before, after)
	response.Warnings = facts.warnings
	return response, nil
}

// refused tells a user what is wrong with the pod, and which line of the chain found it.
func refused(line string, err *apierrors.StatusError) admission.Response {
	status := err.Status()
	status.Message = line + ": " + status.Message
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: &status}}
}
