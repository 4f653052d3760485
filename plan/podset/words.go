package podset

import (
	"fmt"
	"strings"

	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/revision"
)

// String is the note as a sentence for people, without a full stop.
func (n Note) String() string {
	are := "1 pod is"
	if n.Pods != 1 {
		are = fmt.Sprintf("%d pods are", n.Pods)
	}
	const waiting = "waiting for "
	but := ", but "
	if strings.HasPrefix(n.Because, waiting) {
		but = ", "
	}
	switch n.Wish {
	case WishAvailable:
		return are + " not available: " + strings.TrimPrefix(n.Because, waiting)
	case WishResize:
		return are + " not resized yet: " + strings.TrimPrefix(n.Because, waiting)
	case WishScaleOut:
		return are + " to be created" + but + n.Because
	case WishScaleIn:
		return are + " to be deleted" + but + n.Because
	case WishUpdate:
		return are + " to be updated" + but + n.Because
	default:
		return are + " to " + string(n.Wish) + but + n.Because
	}
}

// Waiting says in sentences what is wanted and not done, and why. What one sentence tells is not told again in another.
func (p *Plan) Waiting() []string {
	var out []string
	for _, n := range p.Notes {
		if !n.Told {
			out = append(out, n.String())
		}
	}
	return out
}

// Group is one or several steps that differ in nothing but their pods.
type Group struct {
	Step
	// Names are the names of the pods; of those to be created, which have none yet, the instance ids.
	Names []string
}

// Grouped puts steps together that differ in nothing but their pods, in the order of the first of each group.
func Grouped(steps []Step) []Group {
	var out []Group
	places := map[Step]int{}
	for _, s := range steps {
		k := s
		k.Pod, k.Slot, k.Name = nil, "", ""
		i, known := places[k]
		if !known {
			i, places[k] = len(out), len(out)
			out = append(out, Group{Step: s})
		}
		name := s.Slot
		if s.Pod != nil {
			name = s.Pod.Name
		}
		out[i].Names = append(out[i].Names, name)
	}
	return out
}

// String says in words what the steps do, without the reason.
func (g Group) String() string {
	pods := Names(g.Names)
	switch g.Do {
	case Create:
		return fmt.Sprintf("create %s of revision %s", counted(len(g.Names)), revision.ShortHash(g.To))
	case Delete:
		return "delete " + pods
	case Update:
		return fmt.Sprintf("update %s in place to revision %s", pods, revision.ShortHash(g.To))
	case Expand:
		return "let the claims of " + pods + " grow"
	case Restore:
		return "restore " + pods
	case Apply:
		return "go on with the update of " + pods + " in place"
	case Settle:
		if lifecycle.Serves(g.State) {
			return "put " + pods + " into service"
		}
		return fmt.Sprintf("move %s on to %s", pods, g.State)
	default:
		switch g.State {
		case lifecycle.PreparingUpdate:
			return "prepare the update of " + pods + ", which its hook holds"
		case lifecycle.PreparingDelete:
			return "prepare the deletion of " + pods + ", which its hook holds"
		default:
			return "keep " + pods
		}
	}
}

func counted(n int) string {
	if n == 1 {
		return "1 pod"
	}
	return fmt.Sprintf("%d pods", n)
}

// Names lists the first names and counts the rest.
func Names(all []string) string {
	const most = 5
	text := strings.Join(all[:min(most, len(all))], ", ")
	if more := len(all) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
