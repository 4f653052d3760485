package workload

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/revision"
)

// Revisions are the revisions of a workload: those that are kept, which of them its template is, and which its pods had
// at the end of the last complete rollout. It may be used by several at a time.
type Revisions struct {
	// History are the revisions that are kept.
	History []*appsv1.ControllerRevision
	// Data is the workload's template as revision data.
	Data []byte
	// Newest is the revision that equals the template; nil until it is made.
	Newest *appsv1.ControllerRevision
	// Update is the name of the newest revision, which need not exist yet. Current is that of the last complete rollout.
	Update, Current string

	of Definition

	mu        sync.Mutex // guards what is read and compared once
	templates map[string]*corev1.PodTemplateSpec
	changes   map[[2]string]inplace.Change
}

// Definition is what makes a revision of a workload.
type Definition struct {
	// Workload is the workload itself, of which the metadata is read.
	Workload metav1.Object
	// Owner is the owner reference of everything that it owns.
	Owner metav1.OwnerReference
	// Template is the pod template that it has now.
	Template *corev1.PodTemplateSpec
	// ClaimsHash is the hash of its claim templates, where they make revisions, too; otherwise empty.
	ClaimsHash string
	// Current is the current revision as the status names it.
	Current string
	// Collisions is the status' count of names that other data had.
	Collisions int32
	// InPlace says what more than images, labels and annotations can be changed in place.
	InPlace inplace.Options
}

// ReadRevisions finds the revision that a workload is defined by. It fails only for a template that has no JSON form.
func ReadRevisions(history []*appsv1.ControllerRevision, of Definition) (*Revisions, error) {
	data, err := revision.Data(of.Template)
	if err != nil {
		return nil, err
	}
	sameClaims := slices.DeleteFunc(slices.Clone(history), of.otherClaims)
	r := &Revisions{
		History: history, Data: data, Newest: revision.Find(sameClaims, of.Template, data), of: of,
		templates: map[string]*corev1.PodTemplateSpec{}, changes: map[[2]string]inplace.Change{},
	}
	if r.Newest != nil {
		r.Update = r.Newest.Name
	} else {
		hashed := data
		if len(sameClaims) < len(history) && revision.Find(history, of.Template, data) != nil { // the claims alone tell them apart
			hashed = append(slices.Clone(data), of.ClaimsHash...)
		}
		r.Update = revision.Name(of.Workload.GetName(), revision.Hash(hashed, of.Collisions))
	}
	r.Current = r.Update
	if r.Named(of.Current) != nil {
		r.Current = of.Current
	}
	return r, nil
}

// NewRevision makes the revision of the template, to be created.
func (r *Revisions) NewRevision() *appsv1.ControllerRevision {
	made := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.of.Workload.GetNamespace(), Name: r.Update,
			Labels:          maps.Clone(r.of.Template.Labels),
			Annotations:     maps.Clone(r.of.Workload.GetAnnotations()),
			OwnerReferences: []metav1.OwnerReference{r.of.Owner},
		},
		Revision: revision.Next(r.History),
	}
	made.Data.Raw = r.Data
	if made.Labels == nil {
		made.Labels = map[string]string{}
	}
	made.Labels[revision.HashLabel] = revision.ShortHash(made.Name)
	if r.of.ClaimsHash != "" {
		metav1.SetMetaDataAnnotation(&made.ObjectMeta, v1beta1.ClaimTemplatesHashKey, r.of.ClaimsHash)
	}
	delete(made.Annotations, corev1.LastAppliedConfigAnnotation)
	return made
}

// otherClaims says whether a revision was made for other claim templates.
func (d Definition) otherClaims(r *appsv1.ControllerRevision) bool {
	recorded := claimsHashOf(r)
	return d.ClaimsHash != "" && recorded != "" && recorded != d.ClaimsHash
}

// claimsHashOf is the hash of claim templates that a revision records. Other managers hash otherwise; what they recorded
// says nothing here, so that taking over from them recreates no pod.
func claimsHashOf(r *appsv1.ControllerRevision) string {
	recorded := r.Annotations[v1beta1.ClaimTemplatesHashKey]
	if !strings.HasPrefix(recorded, claimsHashPrefix) {
		return ""
	}
	return recorded
}

// Named finds a kept revision by its name or by its short hash, as pods carry the one or the other.
func (r *Revisions) Named(name string) *appsv1.ControllerRevision {
	if name == "" {
		return nil
	}
	for _, kept := range r.History {
		if kept.Name == name || kept.Labels[revision.HashLabel] == name || revision.ShortHash(kept.Name) == name {
			return kept
		}
	}
	return nil
}

// Template is the pod template of a revision. The newest one need not exist yet.
func (r *Revisions) Template(name string) (*corev1.PodTemplateSpec, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read(name)
}

// read is Template for those who hold mu.
func (r *Revisions) read(name string) (*corev1.PodTemplateSpec, error) {
	if name == r.Update {
		return r.of.Template, nil
	}
	if t, ok := r.templates[name]; ok {
		return t, nil
	}
	kept := r.Named(name)
	if kept == nil {
		return nil, fmt.Errorf("revision %q is not among those kept", name)
	}
	t, err := revision.Template(kept)
	if err != nil {
		return nil, err
	}
	r.templates[name] = t
	return t, nil
}

// Change tells how to get in place from one revision to another. A change that cannot be found out is blocked.
func (r *Revisions) Change(from, to string) inplace.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	change, known := r.changes[[2]string{from, to}]
	if !known {
		change = r.compare(from, to)
		r.changes[[2]string{from, to}] = change
	}
	return change
}

func (r *Revisions) compare(from, to string) inplace.Change {
	before, err := r.read(from)
	if err != nil {
		return inplace.Change{Blocked: err.Error()}
	}
	after, err := r.read(to)
	if err != nil {
		return inplace.Change{Blocked: err.Error()}
	}
	change, err := inplace.Compare(before, after, r.of.InPlace)
	if err != nil {
		return inplace.Change{Blocked: err.Error()}
	}
	if change.Possible() && r.claimsDiffer(from, to) {
		change.Blocked = "spec.volumeClaimTemplates"
	}
	return change
}

// claimsDiffer says whether two revisions were made for different claim templates.
func (r *Revisions) claimsDiffer(from, to string) bool {
	hash := func(name string) string {
		if name == r.Update {
			return r.of.ClaimsHash
		}
		if kept := r.Named(name); kept != nil {
			return claimsHashOf(kept)
		}
		return ""
	}
	a, b := hash(from), hash(to)
	return r.of.ClaimsHash != "" && a != "" && b != "" && a != b
}

// target tells where an update of a pod in place leads to. label is what the revision label of the pod will say.
func (r *Revisions) target(step podset.Step, label string, hooks *v1beta1.Lifecycle, tuning v1beta1.InPlaceUpdateStrategy) (inplace.Target, error) {
	template, err := r.Template(step.To)
	if err != nil {
		return inplace.Target{}, err
	}
	return inplace.Target{
		Revision: label, Hash: revision.ShortHash(step.To), Template: template, Change: r.Change(step.Pod.Revision, step.To),
		Hooked: hooks != nil && lifecycle.Hooked(hooks.InPlaceUpdate), GraceSeconds: tuning.GracePeriodSeconds,
	}, nil
}

// Expired lists the revisions to delete: those that no pod has, beyond the newest limit of them. current names the revision
// of the last complete rollout, as it is from now on: nothing looks again once that rollout is at rest.
func (r *Revisions) Expired(pods []*corev1.Pod, current string, limit int) []*appsv1.ControllerRevision {
	live := map[string]bool{r.Update: true, current: true}
	most := len(slices.DeleteFunc(slices.Clone(r.History), func(kept *appsv1.ControllerRevision) bool { return live[kept.Name] }))
	if most <= limit { // nearly always, and there may be many pods
		return nil
	}
	for _, pod := range pods {
		live[pod.Labels[appsv1.ControllerRevisionHashLabelKey]] = true
	}
	isLive := func(name string) bool { return live[name] || live[revision.ShortHash(name)] }
	return revision.Expired(r.History, isLive, limit)
}
