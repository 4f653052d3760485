// Package inplace decides whether a change of a pod template can be made in running pods, with which patches, and
// whether it has been carried out.
//
// What can be changed in place: images of containers, labels and annotations, and, as Options allow, cpu and memory of
// containers and what containers take from labels and annotations into their environment. A change that touches anything
// else recreates the pod; Compare says which part was in the way.
//
// A change that restarts a container takes the pod out of service first. One that restarts nothing (labels, annotations
// that no environment takes in, a resize without restart) leaves it in service.
//
// Containers with launch priorities are changed in batches, the highest priority first; a batch follows when the one
// before is updated and ready. Every write says in the annotation apps.kruise.io/inplace-update-state what it does and what
// is still to come, so that whoever reads the pod next can go on from there, after a crash between any two writes, too.
// The annotations have the form that OpenKruise gives them, with additions that it ignores; its updates are taken over.
package inplace

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/plan/revision"
)

// Options say what more can be changed in place. The zero value allows the least: images, labels and annotations.
type Options struct {
	// Resources allows other values of cpu and memory (gate InPlaceWorkloadVerticalScaling). They are written to the
	// subresource pods/resize, so the cluster must have it: Kubernetes 1.33, or 1.32 with its gate. Older clusters are
	// not supported: there, the option stays off.
	Resources bool
	// EnvFromMetadata allows other values of labels and annotations that containers take into their environment (gate
	// InPlaceUpdateEnvFromMetadata). Kubelet restarts nothing for them: it takes an agent on each node that does, and pods
	// with the readiness gate InPlaceUpdateReady, which tells the agent that it may. Without the agent the option must be
	// off, or pods wait for ever.
	EnvFromMetadata bool
}

// String lists in words what can be changed in place.
func (o Options) String() string {
	if o.Resources {
		return "images, labels, annotations, and values of cpu and memory"
	}
	return "images, labels and annotations"
}

// Change is the difference between two pod templates as far as it can be made in place.
type Change struct {
	// Blocked says what cannot be changed in place. Empty: everything can.
	Blocked string
	// Images are the new images by container name.
	Images map[string]string
	// Labels are the new values of labels that no environment takes in; nil removes a label, any one.
	Labels map[string]*string
	// Annotations are the new values of annotations that no environment takes in; nil removes an annotation, any one.
	Annotations map[string]*string
	// Env are the new values of labels and annotations that a container takes into its environment, by container name.
	Env map[string]metav1.ObjectMeta
	// Resources are the new values of cpu and memory by container name.
	Resources map[string]corev1.ResourceRequirements
	// ResizeRestarts is true where a container restarts for its new resources, as its resizePolicy says.
	ResizeRestarts bool
}

// Possible says whether the whole change can be made in place.
func (c Change) Possible() bool { return c.Blocked == "" }

// Restarts says whether the change restarts a container. What restarts nothing leaves the pod in service.
func (c Change) Restarts() bool { return len(c.Images) > 0 || len(c.Env) > 0 || c.ResizeRestarts }

// Resizes says whether the change gives a container other resources. Kubelet may put that off or refuse it, so it takes
// its place among the pods of the newest revision that may be broken at a time, although the pod stays in service.
func (c Change) Resizes() bool { return len(c.Resources) > 0 }

var (
	imagePath     = regexp.MustCompile(`^/spec/containers/(\d+)/image$`)
	resourcesPath = regexp.MustCompile(`^/spec/containers/(\d+)/resources(/.*)?$`)
)

// Compare finds out how to get from one template to the other. It fails only on a template that has no JSON form.
func Compare(from, to *corev1.PodTemplateSpec, o Options) (Change, error) {
	operations, err := difference(from, to)
	if err != nil {
		return Change{}, err
	}
	c := Change{
		Images:      map[string]string{},
		Labels:      differentKeys(from.Labels, to.Labels),
		Annotations: differentKeys(from.Annotations, to.Annotations),
		Resources:   map[string]corev1.ResourceRequirements{},
	}
	var blocked []string
	for _, op := range operations {
		switch image, resources := imagePath.FindStringSubmatch(op.Path), resourcesPath.FindStringSubmatch(op.Path); {
		case image != nil && op.Operation == "replace":
			i, err := strconv.Atoi(image[1])
			if err != nil || i >= len(to.Spec.Containers) {
				return Change{}, fmt.Errorf("compare templates: no container at %s", op.Path)
			}
			c.Images[to.Spec.Containers[i].Name] = to.Spec.Containers[i].Image
		case resources != nil:
			if ok, why := c.resize(from, to, resources[1], o); !ok {
				blocked = append(blocked, inWords(op.Path, from, to)+why)
			}
		case isUserMetadata(op.Path):
		default:
			blocked = append(blocked, inWords(op.Path, from, to))
		}
	}
	if before, after := QOSClass(&from.Spec), QOSClass(&to.Spec); len(c.Resources) > 0 && before != after {
		blocked = append(blocked, fmt.Sprintf("the pod's QoS class, which would change from %s to %s", before, after))
	}
	slices.Sort(blocked)
	if blocked = slices.Compact(blocked); len(blocked) > 0 {
		c.Blocked = strings.Join(blocked, ", ")
	} else if !o.EnvFromMetadata {
		c.Blocked = consumedInEnv(from, to, c)
	} else {
		c.moveToEnv(to)
	}
	return c, nil
}

// difference is the JSON patch from one template to the other. A default that only one of them writes out is none.
func difference(from, to *corev1.PodTemplateSpec) ([]jsonpatch.Operation, error) {
	from, to = revision.Alike(from, to)
	a, err := json.Marshal(from)
	if err != nil {
		return nil, fmt.Errorf("compare templates: encode the old one: %w", err)
	}
	b, err := json.Marshal(to)
	if err != nil {
		return nil, fmt.Errorf("compare templates: encode the new one: %w", err)
	}
	operations, err := jsonpatch.CreatePatch(a, b)
	if err != nil {
		return nil, fmt.Errorf("compare templates: %w", err)
	}
	return operations, nil
}

func isUserMetadata(path string) bool {
	for _, prefix := range []string{"/metadata/labels", "/metadata/annotations"} {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}
	return false
}

// differentKeys lists the keys that are new, changed or gone.
func differentKeys(from, to map[string]string) map[string]*string {
	out := map[string]*string{}
	for key, value := range to {
		if old, ok := from[key]; !ok || old != value {
			out[key] = &value
		}
	}
	for key := range from {
		if _, ok := to[key]; !ok {
			out[key] = nil
		}
	}
	return out
}
