package containerrecreaterequest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/restart"
)

// mutatePath is where the webhook is served. It fills in and checks at once: the two ask the same pod.
const mutatePath = "/mutate-apps-kruise-io-containerrecreaterequest"

// +kubebuilder:webhook:path=/mutate-apps-kruise-io-containerrecreaterequest,mutating=true,failurePolicy=fail,matchPolicy=Equivalent,sideEffects=None,groups=apps.kruise.io,resources=containerrecreaterequests,verbs=create;update,versions=v1beta1,name=mcontainerrecreaterequest.kb.io,admissionReviewVersions=v1
// +kubebuilder:rbac:groups="",resources=pods;nodes,verbs=get

// SetupWebhook serves the admission of requests on the manager's webhook server.
func (o Options) SetupWebhook(mgr ctrl.Manager) error {
	mgr.GetWebhookServer().Register(mutatePath, &admission.Webhook{
		Handler: &webhook{live: mgr.GetAPIReader(), decoder: admission.NewDecoder(mgr.GetScheme()), off: o.Off},
	})
	return nil
}

// webhook fills in requests and checks them. It reads the pod from the API server itself: a request that was filled in from
// an older pod would ask for a container that is gone, and nothing would be restarted.
type webhook struct {
	live    client.Reader
	decoder admission.Decoder
	off     bool
}

// Handle implements admission.Handler.
func (w *webhook) Handle(ctx context.Context, req admission.Request) admission.Response {
	r := &v1beta1.ContainerRecreateRequest{}
	if err := w.decoder.Decode(req, r); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if req.Operation == admissionv1.Update {
		old := &v1beta1.ContainerRecreateRequest{}
		if err := w.decoder.DecodeRaw(req.OldObject, old); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
		return refuse(r, immutable(old, r))
	}
	if w.off {
		return admission.Denied("feature gate KruiseDaemon is off: no agent on the pod's node would carry the request out")
	}
	r.Namespace = req.Namespace
	errs, warnings, err := w.complete(ctx, r)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	if len(errs) > 0 {
		return refuse(r, errs)
	}
	completed, err := json.Marshal(r)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(req.Object.Raw, completed).WithWarnings(warnings...)
}

// refuse is the answer to a request with errors, or without.
func refuse(r *v1beta1.ContainerRecreateRequest, errs field.ErrorList) admission.Response {
	if len(errs) == 0 {
		return admission.Allowed("")
	}
	invalid := apierrors.NewInvalid(v1beta1.GroupVersion.WithKind(kindRequest).GroupKind(), r.Name, errs)
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Allowed: false, Result: ptr.To(invalid.Status())}}
}

// immutable checks the labels that say where a request belongs.
func immutable(old, r *v1beta1.ContainerRecreateRequest) field.ErrorList {
	var errs field.ErrorList
	for _, key := range []string{v1beta1.ContainerRecreateRequestPodUIDKey, v1beta1.ContainerRecreateRequestNodeNameKey} {
		if old.Labels[key] != r.Labels[key] {
			errs = append(errs, field.Invalid(field.NewPath("metadata", "labels").Key(key), r.Labels[key],
				fmt.Sprintf("is immutable, and was %q", old.Labels[key])))
		}
	}
	return errs
}

// complete fills in a request from its pod.
func (w *webhook) complete(ctx context.Context, r *v1beta1.ContainerRecreateRequest) (errs field.ErrorList, warnings []string, err error) {
	spec := field.NewPath("spec")
	if errs := unset(r, spec); len(errs) > 0 {
		return errs, nil, nil
	}
	if r.Spec.PodName == "" {
		return field.ErrorList{field.Required(spec.Child("podName"), "a request is about the containers of a pod")}, nil, nil
	}
	pod := &corev1.Pod{}
	err = w.live.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: r.Spec.PodName}, pod)
	if apierrors.IsNotFound(err) {
		return field.ErrorList{field.NotFound(spec.Child("podName"), r.Spec.PodName)}, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("get pod %s/%s: %w", r.Namespace, r.Spec.PodName, err)
	}
	switch why := restart.Ended(pod, pod.UID); {
	case why != "":
		return field.ErrorList{field.Invalid(spec.Child("podName"), pod.Name, "the pod has ended or is being deleted: nothing in it can be restarted")}, nil, nil
	case pod.Spec.NodeName == "":
		return field.ErrorList{field.Invalid(spec.Child("podName"), pod.Name, "the pod is on no node yet: nothing in it runs")}, nil, nil
	}
	if errs, warnings = fillContainers(r, pod, spec.Child("containers")); len(errs) > 0 {
		return errs, nil, nil
	}
	fillStrategy(r, pod)
	return nil, warnings, w.label(ctx, r, pod)
}

// unset checks that nobody fills in what is filled in here.
func unset(r *v1beta1.ContainerRecreateRequest, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range r.Spec.Containers {
		c, path := &r.Spec.Containers[i], spec.Child("containers").Index(i)
		for _, f := range []struct {
			name string
			set  bool
		}{
			{"preStop", c.PreStop != nil}, {"ports", len(c.Ports) > 0}, {"restartPolicy", c.RestartPolicy != ""}, {"statusContext", c.StatusContext != nil},
		} {
			if f.set {
				errs = append(errs, field.Forbidden(path.Child(f.name), "is filled in from the pod at admission and must not be set"))
			}
		}
	}
	return errs
}

// fillContainers fills in the containers.
func fillContainers(r *v1beta1.ContainerRecreateRequest, pod *corev1.Pod, path *field.Path) (errs field.ErrorList, warnings []string) {
	for i := range r.Spec.Containers {
		c, name := &r.Spec.Containers[i], path.Index(i).Child("name")
		policy, known := restart.RestartPolicyOf(pod, c.Name)
		if !known {
			errs = append(errs, field.Invalid(name, c.Name, "the pod has no container of this name that can be restarted"))
			continue
		}
		if status := restart.StatusOf(pod, c.Name); status == nil || status.ContainerID == "" {
			errs = append(errs, field.Invalid(name, c.Name, "the container has not been started yet, so there is nothing to restart"))
			continue
		}
		if policy != corev1.ContainerRestartPolicyAlways {
			warnings = append(warnings, fmt.Sprintf("container %s is stopped, and kubelet may not start it again: its restart policy is %s", c.Name, policy))
		}
		restart.Fill(c, pod)
	}
	return errs, warnings
}

// fillStrategy fills in the strategy.
func fillStrategy(r *v1beta1.ContainerRecreateRequest, pod *corev1.Pod) {
	if r.Spec.Strategy == nil {
		r.Spec.Strategy = &v1beta1.ContainerRecreateRequestStrategy{}
	}
	s := r.Spec.Strategy
	if s.FailurePolicy == "" {
		s.FailurePolicy = v1beta1.ContainerRecreateRequestFailurePolicyFail
	}
	if s.TerminationGracePeriodSeconds == nil {
		s.TerminationGracePeriodSeconds = ptr.To(ptr.Deref(pod.Spec.TerminationGracePeriodSeconds, int64(restart.DefaultGrace.Seconds())))
	}
}

// label says where the request belongs.
func (w *webhook) label(ctx context.Context, r *v1beta1.ContainerRecreateRequest, pod *corev1.Pod) error {
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	r.Labels[v1beta1.ContainerRecreateRequestPodUIDKey] = string(pod.UID)
	r.Labels[v1beta1.ContainerRecreateRequestNodeNameKey] = pod.Spec.NodeName
	r.Labels[v1beta1.ContainerRecreateRequestActiveKey] = "true"
	node := &metav1.PartialObjectMetadata{}
	node.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Node"))
	err := w.live.Get(ctx, client.ObjectKey{Name: pod.Spec.NodeName}, node)
	if client.IgnoreNotFound(err) != nil {
		return errors.Join(errors.New("label the request as its node is"), fmt.Errorf("get node %s: %w", pod.Spec.NodeName, err))
	}
	if node.Labels[v1beta1.VirtualKubeletKey] == v1beta1.VirtualKubeletValue {
		r.Labels[v1beta1.VirtualKubeletKey] = v1beta1.VirtualKubeletValue
	}
	return nil
}
