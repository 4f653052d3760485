package story

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/workload"
)

// verbs does each line of a script. What they mean is in the package's documentation.
func (p *player) verbs() map[string]func(rest string) error {
	return map[string]func(string) error{
		"rest":   func(string) error { return p.rest() },
		"wait":   p.wait,
		"crash":  p.crash,
		"status": func(string) error { return p.status() },
		"images": p.images,

		"patch": p.patch,
		"image": p.image,
		"gate":  func(name string) error { return p.c.gate(name) },

		"label":     p.label,
		"annotate":  p.annotate,
		"finalizer": p.finalizer,
		"delete":    func(pod string) error { return p.w.Delete(pod, "") },
		"evict":     p.w.Evict,
		"lose":      func(pod string) error { p.w.Lose(pod); return nil },

		"delete-claim": p.deleteClaim,
		"stranger":     p.stranger,
		"pods":         p.pods,

		"nodes":       p.nodes,
		"node":        p.node,
		"remove-node": func(node string) error { p.w.RemoveNode(node); return nil },
		"cordon":      func(node string) error { return p.w.Cordon(node, true) },
		"uncordon":    func(node string) error { return p.w.Cordon(node, false) },
		"taint":       p.taint,
		"fill":        func(node string) error { p.w.Full[node] = true; return nil },
		"empty":       func(node string) error { p.w.Full[node] = false; return nil },
		"lose-node":   func(node string) error { return p.w.LoseNode(node, true) },
		"find-node":   func(node string) error { return p.w.LoseNode(node, false) },
		"bad":         func(image string) error { p.w.Bad[image] = true; return nil },
		"good":        p.good,
		"unready":     func(image string) error { p.w.Unready[image] = true; return nil },
		"crash-image": func(image string) error { p.w.Crashing[image] = true; return nil },
		"digest":      p.digest,
		"resize":      p.resize,
		"grow":        p.grow,
		"agent":       func(string) error { p.w.Agent = true; return nil },
		"old-kubelet": func(string) error { p.w.OldKubelet = true; return nil },
	}
}

func (p *player) do(verb, rest string) error {
	do, ok := p.verbs()[verb]
	if !ok {
		return fmt.Errorf("there is no verb %q", verb)
	}
	return do(rest)
}

// rest lets controller and cluster act in turns, a second at a time, until no more happens.
func (p *player) rest() error {
	const enough = 5 * time.Second // more than a container takes to start
	began, quietSince := p.w.Now, p.w.Now
	for p.w.Now.Before(began.Add(longest)) {
		acted, err := p.second(NoLimit)
		if err != nil {
			return err
		}
		if acted {
			quietSince = p.w.Now
		}
		if p.w.Now.Sub(quietSince) > enough {
			p.log.atRest(quietSince)
			return nil
		}
	}
	return fmt.Errorf("no rest within %s:\n%s", longest, p.log)
}

func (p *player) wait(text string) error {
	d, err := time.ParseDuration(text)
	for end := p.w.Now.Add(d); err == nil && p.w.Now.Before(end); {
		_, err = p.second(NoLimit)
	}
	return err
}

// crash lets the manager end after so many writes.
func (p *player) crash(text string) error {
	writes, err := strconv.Atoi(text)
	if err == nil {
		_, err = p.second(writes)
	}
	return err
}

// second lets the controller act once, for at most so many writes, and the cluster for a second, and says whether
// anything happened.
func (p *player) second(writes int) (bool, error) {
	turn, err := p.c.decide(p.w)
	if err != nil {
		return false, err
	}
	pods, plan := turn.facts()
	moves, err := turn.moves()
	if err != nil {
		return false, err
	}
	p.show(pods, moves)
	changed := p.log.second(pods, plan)
	if err := turn.Act(p.w, writes); err != nil {
		return false, err
	}
	p.w.Tick(time.Second)
	return changed || len(plan.Steps) > 0 || !plan.Wake.IsZero(), nil
}

func (p *player) status() error {
	text, err := p.c.status(p.w)
	if err == nil {
		p.log.status(text)
	}
	return err
}

func (p *player) images(name string) error {
	pod := p.w.Pod(name)
	if pod == nil {
		return fmt.Errorf("there is no pod %q", name)
	}
	p.log.images(pod)
	return nil
}

func (p *player) patch(text string) error {
	patch, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return err
	}
	return p.c.patch(patch)
}

// merged reads a manifest into which a patch was merged, strictly.
func merged[T any](before *T, patch []byte) (*T, error) {
	text, err := json.Marshal(before)
	if err != nil {
		return nil, err
	}
	var kind, after T
	if text, err = strategicpatch.StrategicMergePatch(text, patch, kind); err != nil {
		return nil, err
	}
	return &after, yaml.UnmarshalStrict(text, &after)
}

func (p *player) image(text string) error {
	name, image, _ := strings.Cut(text, "=")
	if c := p.c.container(name); c != nil {
		c.Image = image
		return nil
	}
	return fmt.Errorf("there is no container %q", name)
}

func containerOf(template *corev1.PodTemplateSpec, name string) *corev1.Container {
	for i := range template.Spec.Containers {
		if c := &template.Spec.Containers[i]; c.Name == name {
			return c
		}
	}
	return nil
}

// pods lets somebody create pods that the set is injected into.
func (p *player) pods(text string) error {
	s, ok := p.c.(*SidecarSet)
	if !ok {
		return errors.New("the pods are the workload's own")
	}
	return s.addPods(p.w, text)
}

func (p *player) label(text string) error {
	return p.edit(text, func(m *metav1.ObjectMeta) map[string]string { return m.Labels })
}

func (p *player) annotate(text string) error {
	return p.edit(text, func(m *metav1.ObjectMeta) map[string]string {
		if m.Annotations == nil {
			m.Annotations = map[string]string{}
		}
		return m.Annotations
	})
}

// edit sets a key in a map of a pod, or takes it away.
func (p *player) edit(text string, of func(*metav1.ObjectMeta) map[string]string) error {
	pod, entry, _ := strings.Cut(text, " ")
	return p.w.Edit(pod, func(m *metav1.ObjectMeta) {
		if key, gone := strings.CutSuffix(entry, "-"); gone {
			delete(of(m), key)
			return
		}
		key, value, _ := strings.Cut(entry, "=")
		of(m)[key] = value
	})
}

func (p *player) finalizer(text string) error {
	pod, name, _ := strings.Cut(text, " ")
	return p.w.Edit(pod, func(m *metav1.ObjectMeta) {
		if name, gone := strings.CutSuffix(name, "-"); gone {
			m.Finalizers = slices.DeleteFunc(slices.Clone(m.Finalizers), func(f string) bool { return f == name })
			return
		}
		m.Finalizers = append(slices.Clone(m.Finalizers), name)
	})
}

func (p *player) nodes(text string) error {
	n, err := strconv.Atoi(text)
	if err == nil {
		p.w.SetNodes(n)
	}
	return err
}

// node adds a node, or changes a label of one that there is.
func (p *player) node(text string) error {
	name, label, _ := strings.Cut(text, " ")
	if p.w.Node(name) == nil {
		p.w.AddNode(name)
	}
	return p.w.ChangeNode(name, func(n *corev1.Node) {
		if key, gone := strings.CutSuffix(label, "-"); gone {
			delete(n.Labels, key)
		} else if key, value, given := strings.Cut(label, "="); given {
			n.Labels[key] = value
		}
	})
}

// taint gives a node a taint of a key and an effect, or takes it away.
func (p *player) taint(text string) error {
	name, taint, _ := strings.Cut(text, " ")
	taint, gone := strings.CutSuffix(taint, "-")
	key, effect, _ := strings.Cut(taint, ":")
	return p.w.Taint(name, corev1.Taint{Key: key, Effect: corev1.TaintEffect(effect)}, !gone)
}

func (p *player) good(image string) error {
	for _, bad := range []map[string]bool{p.w.Bad, p.w.Unready, p.w.Crashing} {
		delete(bad, image)
	}
	return nil
}

func (p *player) digest(text string) error {
	image, digest, _ := strings.Cut(text, "=")
	p.w.Digests[image] = digest
	return nil
}

func (p *player) resize(text string) error {
	answers := map[string]string{"at-once": "", "deferred": "Deferred", "infeasible": "Infeasible"}
	answer, ok := answers[text]
	if !ok {
		return fmt.Errorf("kubelet never says %q to a resize", text)
	}
	p.w.Resize = answer
	return nil
}

func (p *player) grow(text string) error {
	answers := map[string]string{"at-once": "", "never": world.GrowsNever, "at-restart": world.GrowsAtRestart}
	answer, ok := answers[text]
	if !ok {
		return fmt.Errorf("volumes never grow %q", text)
	}
	p.w.Growth = answer
	return nil
}

func (p *player) deleteClaim(name string) error {
	claim := p.w.Claim(name)
	if claim == nil {
		return fmt.Errorf("there is no claim %q", name)
	}
	return p.w.DeleteClaim(name, claim.UID)
}

// stranger creates a pod that somebody else controls, which may have a claim.
func (p *player) stranger(text string) error {
	name, claim, _ := strings.Cut(text, " ")
	owner := metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: "other", UID: "other", Controller: new(true)}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{owner}}}
	if claim != "" {
		workload.Mount(&pod.Spec, "data", claim)
	}
	return p.w.Create(pod)
}
