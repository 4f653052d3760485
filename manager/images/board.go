package images

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"kruise.io/kruise/plan/images"
)

// Board is what jobs and nodes of one process tell each other. The zero value is ready for use, by many at a time.
//
// A want is a job that is to begin on a node: it is put up by the job, and taken down once the NodeImage shows it. An outcome
// is how a node ended the round of a job that goes on: another job may begin a new round on that node at any time, and the
// outcome of the earlier one would be lost. After a restart there are no wants, since nothing was written of them, and an
// outcome of an earlier round is not known any more: the job then waits for the round that another began.
type Board struct {
	mu       sync.Mutex
	wants    map[string]map[types.UID]types.NamespacedName // by node and job
	left     map[string]map[types.UID]bool                 // jobs that a node is not selected by any more
	outcomes map[types.UID]*outcomes
	jobs     map[types.NamespacedName]types.UID
}

type outcomes struct {
	ref    images.Ref
	states map[string]images.State // by node
}

// Is says which job has a name now, none if the UID is empty, and forgets the one that had it before.
func (b *Board) Is(key types.NamespacedName, job types.UID) {
	b.mu.Lock()
	before := b.jobs[key]
	switch {
	case job == "":
		delete(b.jobs, key)
	case b.jobs == nil:
		b.jobs = map[types.NamespacedName]types.UID{key: job}
	default:
		b.jobs[key] = job
	}
	b.mu.Unlock()
	if before != "" && before != job {
		b.Forget(before)
	}
}

// Want has a job begin on nodes.
func (b *Board) Want(job types.UID, key types.NamespacedName, nodes []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, node := range nodes {
		if b.wants == nil {
			b.wants = map[string]map[types.UID]types.NamespacedName{}
		}
		if b.wants[node] == nil {
			b.wants[node] = map[types.UID]types.NamespacedName{}
		}
		b.wants[node][job] = key
	}
}

// Wanted are the jobs that are to begin on a node.
func (b *Board) Wanted(node string) map[types.UID]types.NamespacedName {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[types.UID]types.NamespacedName, len(b.wants[node]))
	for job, key := range b.wants[node] {
		all[job] = key
	}
	return all
}

// Served takes wants of a node down.
func (b *Board) Served(node string, jobs []types.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, job := range jobs {
		b.drop(node, job)
	}
}

func (b *Board) drop(node string, job types.UID) {
	if delete(b.wants[node], job); len(b.wants[node]) == 0 {
		delete(b.wants, node)
	}
}

// Note keeps outcomes of a node, and returns the jobs that did not know theirs.
func (b *Board) Note(node string, all []images.Outcome) []types.UID {
	b.mu.Lock()
	defer b.mu.Unlock()
	var news []types.UID
	for _, o := range all {
		known := b.outcomes[o.Job]
		if known == nil || known.ref != o.Ref {
			if b.outcomes == nil {
				b.outcomes = map[types.UID]*outcomes{}
			}
			known = &outcomes{ref: o.Ref, states: map[string]images.State{}}
			b.outcomes[o.Job] = known
		}
		if _, already := known.states[node]; !already {
			known.states[node] = o.State
			news = append(news, o.Job)
		}
	}
	return news
}

// Reopen drops the outcomes of a job on nodes where it goes on.
func (b *Board) Reopen(job types.UID, nodes []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.outcomes[job]; known != nil {
		for _, node := range nodes {
			delete(known.states, node)
		}
	}
}

// View is what the board knows of a job on nodes: outcomes of its image, and wants.
func (b *Board) View(job types.UID, ref images.Ref, nodes []string) map[string]images.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	view := make(map[string]images.State, len(nodes))
	known := b.outcomes[job]
	for _, node := range nodes {
		if known != nil && known.ref == ref && known.states[node].Final() {
			view[node] = known.states[node]
		} else if _, wanted := b.wants[node][job]; wanted {
			view[node] = images.Active
		}
	}
	return view
}

// Leave says of which nodes a job wants nothing more, though their NodeImages or the board say so, and of which it does. It
// returns those for which that is new.
func (b *Board) Leave(job types.UID, selected func(node string) bool, owning []string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for node, jobs := range b.wants {
		if _, wanted := jobs[job]; wanted && !selected(node) {
			b.drop(node, job)
		}
	}
	for node, jobs := range b.left {
		if jobs[job] && selected(node) {
			b.rejoin(node, job)
		}
	}
	var news []string
	for _, node := range owning {
		if selected(node) || b.left[node][job] {
			continue
		}
		if b.left == nil {
			b.left = map[string]map[types.UID]bool{}
		}
		if b.left[node] == nil {
			b.left[node] = map[types.UID]bool{}
		}
		b.left[node][job] = true
		news = append(news, node)
	}
	return news
}

func (b *Board) rejoin(node string, job types.UID) {
	if delete(b.left[node], job); len(b.left[node]) == 0 {
		delete(b.left, node)
	}
}

// Left says whether a node is not selected by a job any more.
func (b *Board) Left(node string, job types.UID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left[node][job]
}

// Forget drops everything about a job.
func (b *Board) Forget(job types.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.outcomes, job)
	for node := range b.wants {
		b.drop(node, job)
	}
	for node := range b.left {
		b.rejoin(node, job)
	}
}

// ForgetNode drops everything about a node that is gone: the next one of its name may be another machine.
func (b *Board) ForgetNode(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.wants, node)
	delete(b.left, node)
	for _, known := range b.outcomes {
		delete(known.states, node)
	}
}
