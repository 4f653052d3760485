package story

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
)

// Names of the files in a story.
const (
	Manifest = "cloneset.yaml"
	Script   = "script"
	Log      = "log"
)

// longest is how long a world may take to come to rest.
const longest = time.Hour

// Play plays a story and returns its log. An error names the line of the script.
func Play(archive *txtar.Archive) (string, error) {
	var object v1beta1.CloneSet
	if err := yaml.UnmarshalStrict([]byte(file(archive, Manifest)), &object); err != nil {
		return "", fmt.Errorf("%s: %w", Manifest, err)
	}
	w := world.New()
	p := &player{w: w, c: &CloneSet{Name: object.Name, Spec: object.Spec}, log: newLog(w, object.Name)}
	for i, line := range strings.Split(file(archive, Script), "\n") {
		line, _, _ = strings.Cut(line, " #")
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		p.log.command(line)
		if err := p.do(verb, strings.TrimSpace(rest)); err != nil {
			return "", fmt.Errorf("%s: line %d: %s: %w", Script, i+1, line, err)
		}
	}
	return p.log.String(), nil
}

func file(archive *txtar.Archive, name string) string {
	i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		return ""
	}
	return string(archive.Files[i].Data)
}

type player struct {
	w   *world.World
	c   *CloneSet
	log *log
}

func (p *player) do(verb, rest string) error {
	switch verb {
	case "rest":
		return p.rest()
	case "wait":
		return p.wait(rest)
	case "patch":
		return p.patch(rest)
	case "image":
		return p.image(rest)
	case "bad", "good":
		p.w.Bad[rest] = verb == "bad"
		return nil
	case "label":
		return p.label(rest)
	case "delete":
		return p.w.Delete(rest, "")
	case "gate":
		return p.gate(rest)
	case "lose":
		p.w.Lose(rest)
		return nil
	default:
		return fmt.Errorf("there is no verb %q", verb)
	}
}

// rest lets controller and cluster act in turns, a second at a time, until no more happens.
func (p *player) rest() error {
	const enough = 5 * time.Second // more than a container takes to start
	began, quietSince := p.w.Now, p.w.Now
	for p.w.Now.Before(began.Add(longest)) {
		acted, err := p.second()
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
		_, err = p.second()
	}
	return err
}

// second lets the controller act once and the cluster for a second, and says whether anything happened.
func (p *player) second() (bool, error) {
	seen, err := p.c.Observe(p.w)
	if err != nil {
		return false, err
	}
	plan, err := p.c.Reconcile(p.w)
	if err != nil {
		return false, err
	}
	changed := p.log.second(seen, plan)
	p.w.Tick(time.Second)
	return changed || len(plan.Steps) > 0 || !plan.Wake.IsZero(), nil
}

func (p *player) patch(text string) error {
	object := v1beta1.CloneSet{Spec: *p.c.Spec.DeepCopy()}
	if err := yaml.UnmarshalStrict([]byte(text), &object); err != nil { // what the text does not name stays
		return err
	}
	p.c.Spec = object.Spec
	return nil
}

// gate opens a feature gate.
func (p *player) gate(name string) error {
	switch name {
	case "CloneSetShortHash":
		p.c.Options.ShortHash = true
	case "CloneSetPartitionRollback":
		p.c.Options.PartitionRollback = true
	case "PreparingUpdateAsUpdate":
		p.c.Options.PreparingUpdateAsUpdate = true
	case "RecreatePodWhenChangeVCTInCloneSetGate":
		p.c.Options.RecreateForClaims = true
	default:
		return fmt.Errorf("there is no gate %q", name)
	}
	return nil
}

func (p *player) image(text string) error {
	name, image, _ := strings.Cut(text, "=")
	for i := range p.c.Spec.Template.Spec.Containers {
		if c := &p.c.Spec.Template.Spec.Containers[i]; c.Name == name {
			c.Image = image
			return nil
		}
	}
	return fmt.Errorf("there is no container %q", name)
}

func (p *player) label(text string) error {
	pod, label, _ := strings.Cut(text, " ")
	return p.w.Edit(pod, func(m *metav1.ObjectMeta) {
		if key, gone := strings.CutSuffix(label, "-"); gone {
			delete(m.Labels, key)
			return
		}
		key, value, _ := strings.Cut(label, "=")
		m.Labels[key] = value
	})
}
