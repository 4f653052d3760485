// Package revision decides which ControllerRevision a pod template is, and which old ones are kept.
//
// The form is the wire contract's: the name is <workload>-<hash>, the data is {"spec":{"template":{…,"$patch":"replace"}}},
// so that revisions written by other managers are recognised as ours. Equality is that of the templates and not of
// their bytes: the order of keys, the null fields of older encoders, and defaults of Kubernetes that are written out never make
// a rollout.
package revision

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/rand"
)

// HashLabel is the label of a ControllerRevision that holds its hash.
const HashLabel = "controller.kubernetes.io/hash"

// Data encodes a template as the data of a ControllerRevision.
func Data(template *corev1.PodTemplateSpec) ([]byte, error) {
	text, err := json.Marshal(template)
	if err != nil {
		return nil, fmt.Errorf("encode pod template: %w", err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("encode pod template: %w", err)
	}
	fields["$patch"] = "replace"
	return json.Marshal(map[string]any{"spec": map[string]any{"template": fields}})
}

// Template decodes the template that a ControllerRevision holds.
func Template(r *appsv1.ControllerRevision) (*corev1.PodTemplateSpec, error) {
	var data struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(r.Data.Raw, &data); err != nil {
		return nil, fmt.Errorf("controller revision %s/%s: decode its pod template: %w", r.Namespace, r.Name, err)
	}
	return &data.Spec.Template, nil
}

// Hash is the short hash of revision data. collisions is the count of names that were taken by other data.
func Hash(data []byte, collisions int32) string {
	h := fnv.New32a()
	_, _ = h.Write(data) // a hash never fails to write
	if collisions > 0 {
		_, _ = h.Write([]byte(strconv.Itoa(int(collisions))))
	}
	return rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
}

// Name is the name of a workload's revision. A long workload name is cut so that the name fits.
func Name(workload, hash string) string {
	const longest = 223 // leaves room for the hash within 253 characters
	if len(workload) > longest {
		workload = workload[:longest]
	}
	return workload + "-" + hash
}

// ShortHash is the hash part of a revision's name or of a pod's revision label, which may be either form.
func ShortHash(revision string) string {
	for i := len(revision) - 1; i >= 0; i-- {
		if revision[i] == '-' {
			return revision[i+1:]
		}
	}
	return revision
}

// Find looks for the revision that holds an equal template; of several the one with the highest number. Revisions that
// cannot be decoded are passed over: they equal nothing.
func Find(all []*appsv1.ControllerRevision, template *corev1.PodTemplateSpec, data []byte) *appsv1.ControllerRevision {
	var found *appsv1.ControllerRevision
	for _, r := range all {
		if found != nil && r.Revision <= found.Revision {
			continue
		}
		if bytes.Equal(r.Data.Raw, data) {
			found = r
			continue
		}
		if other, err := Template(r); err == nil && same(other, template) {
			found = r
		}
	}
	return found
}

// same says whether two templates mean the same.
func same(a, b *corev1.PodTemplateSpec) bool {
	if equality.Semantic.DeepEqual(a, b) {
		return true
	}
	if len(a.Spec.Containers) != len(b.Spec.Containers) || !sameImages(a, b) { // nearly all that differ
		return false
	}
	x, y := Alike(a, b)
	return equality.Semantic.DeepEqual(x, y)
}

func sameImages(a, b *corev1.PodTemplateSpec) bool {
	for i := range a.Spec.Containers {
		if a.Spec.Containers[i].Image != b.Spec.Containers[i].Image {
			return false
		}
	}
	return true
}

// Next is the number for a new revision, or for an older one that becomes the newest again.
func Next(all []*appsv1.ControllerRevision) int64 {
	var highest int64
	for _, r := range all {
		highest = max(highest, r.Revision)
	}
	return highest + 1
}

// Expired lists the revisions to delete, the oldest first: those that are not live, beyond the newest limit of them.
func Expired(all []*appsv1.ControllerRevision, live func(name string) bool, limit int) []*appsv1.ControllerRevision {
	var unused []*appsv1.ControllerRevision
	for _, r := range all {
		if !live(r.Name) {
			unused = append(unused, r)
		}
	}
	slices.SortFunc(unused, func(a, b *appsv1.ControllerRevision) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Name, b.Name))
	})
	return unused[:max(len(unused)-limit, 0)]
}
