package workload

import (
	"fmt"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/plan/inplace"
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
	// InPlace says what more than images, labels and annotations can be changed in place. It is set before Change is asked.
	InPlace inplace.Options

	template *corev1.PodTemplateSpec

	mu        sync.Mutex // guards what is read and compared once
	templates map[string]*corev1.PodTemplateSpec
	changes   map[string]inplace.Change
}

// ReadRevisions finds the revision that a template is. current is the current revision as the workload's status names it,
// collisions the status' count of names that other data had. It fails only for a template that has no JSON form.
func ReadRevisions(workload string, history []*appsv1.ControllerRevision, template *corev1.PodTemplateSpec, current string, collisions int32) (*Revisions, error) {
	data, err := revision.Data(template)
	if err != nil {
		return nil, err
	}
	r := &Revisions{
		History: history, Data: data, Newest: revision.Find(history, template, data), template: template,
		templates: map[string]*corev1.PodTemplateSpec{}, changes: map[string]inplace.Change{},
	}
	if r.Newest != nil {
		r.Update = r.Newest.Name
	} else {
		r.Update = revision.Name(workload, revision.Hash(data, collisions))
	}
	r.Current = r.Update
	if r.Named(current) != nil {
		r.Current = current
	}
	return r, nil
}

// Named finds a kept revision by its name or by its short hash, as pods carry the one or the other.
func (r *Revisions) Named(name string) *appsv1.ControllerRevision {
	if name == "" {
		return nil
	}
	for _, kept := range r.History {
		if kept.Name == name || kept.Labels[revision.HashLabel] == name {
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
		return r.template, nil
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

// Change tells how to get in place from a revision to the newest one. A change that cannot be found out is blocked.
func (r *Revisions) Change(from string) inplace.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	change, known := r.changes[from]
	if !known {
		change = r.compare(from)
		r.changes[from] = change
	}
	return change
}

func (r *Revisions) compare(from string) inplace.Change {
	old, err := r.read(from)
	if err != nil {
		return inplace.Change{Blocked: err.Error()}
	}
	change, err := inplace.Compare(old, r.template, r.InPlace)
	if err != nil {
		return inplace.Change{Blocked: err.Error()}
	}
	return change
}

// Expired lists the revisions to delete: those that no pod has, beyond the newest limit of them.
func (r *Revisions) Expired(pods []*corev1.Pod, limit int) []*appsv1.ControllerRevision {
	live := map[string]bool{r.Update: true, r.Current: true}
	for _, pod := range pods {
		live[pod.Labels[appsv1.ControllerRevisionHashLabelKey]] = true
	}
	isLive := func(name string) bool { return live[name] || live[revision.ShortHash(name)] }
	return revision.Expired(r.History, isLive, limit)
}
