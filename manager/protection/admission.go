package protection

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/metadata"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/plan/protection"
)

// validatePath is where deletions of objects with the label are sent.
const validatePath = "/validate-deletion"

// Options are what the user of the whole cluster decides about deletions.
type Options struct {
	// Enabled is false where nothing is protected.
	Enabled bool
	// Definitions says that the objects of a CustomResourceDefinition are counted. Otherwise one that is protected while it
	// has objects is always protected.
	Definitions bool
}

// SetupWebhook serves the admission of deletions on the manager's webhook server. It is served where nothing is protected,
// too, and lets everything pass then: the API server may still ask on behalf of another replica.
func (o Options) SetupWebhook(mgr ctrl.Manager) error {
	objects, err := metadata.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("set up the admission of deletions: %w", err)
	}
	refusals, err := newRefusals()
	if err != nil {
		return fmt.Errorf("set up the admission of deletions: %w", err)
	}
	mgr.GetWebhookServer().Register(validatePath, &admission.Webhook{Handler: &handler{
		options: o, children: children{live: mgr.GetAPIReader(), objects: objects}, refusals: refusals,
	}})
	return nil
}

// handler judges deletions.
type handler struct {
	options  Options
	children children
	refusals *refusals
}

// Handle implements admission.Handler.
func (h *handler) Handle(ctx context.Context, req admission.Request) admission.Response {
	if !h.options.Enabled || req.Operation != admissionv1.Delete || req.SubResource != "" {
		return admission.Allowed("")
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(req.OldObject.Raw); err != nil {
		return admission.Errored(http.StatusBadRequest, fmt.Errorf("reading the %s that is to be deleted: %w", req.Kind.Kind, err))
	}
	o, ok := protection.Of(req.Kind.Group, req.Kind.Kind, object)
	if !ok {
		return admission.Allowed("")
	}
	verdict := h.decide(ctx, o, object)
	if verdict.Refusal == "" {
		response := admission.Allowed("")
		if verdict.Warning != "" {
			response = response.WithWarnings(verdict.Warning)
		}
		return response
	}
	dry := req.DryRun != nil && *req.DryRun
	log.FromContext(ctx).Info("Refused a deletion", "kind", o.Kind, "namespace", o.Namespace, "name", o.Name,
		"label", o.Label, "user", req.UserInfo.Username, "dryRun", dry)
	if !dry {
		h.refusals.count(o, req.UserInfo.Username)
	}
	return admission.Denied(verdict.Refusal)
}

// decide counts what would go with the object, where that matters, and decides.
func (h *handler) decide(ctx context.Context, o protection.Object, object *unstructured.Unstructured) protection.Verdict {
	if !o.Asks() {
		return protection.Decide(o)
	}
	if o.Kind == protection.Definitions && !h.options.Definitions {
		return protection.Unknown(o, errors.New("the feature gate DeletionProtectionForCRDCascadingGate of kruise-manager is not enabled"))
	}
	found, err := h.children.of(ctx, o, object)
	if err != nil {
		return protection.Unknown(o, err)
	}
	return protection.Decide(o, found...)
}
