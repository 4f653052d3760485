package story

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/workload"
)

// Names of the files in a story.
const (
	Manifest            = "cloneset.yaml"
	StatefulSetManifest = "statefulset.yaml"
	Script              = "script"
	Log                 = "log"
)

// longest is how long a world may take to come to rest.
const longest = 10 * time.Minute

// Play plays a story and returns its log. An error names the line of the script.
func Play(archive *txtar.Archive) (string, error) {
	w := world.New()
	p := &player{w: w}
	if err := p.read(archive); err != nil {
		return "", err
	}
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

// set is a workload that a player plays with.
type set interface {
	// Decide lets its controller decide what to do now, and checks the promises that the plan shows.
	Decide(*world.World) (*Round, error)
	options() *workload.Options
	template() *corev1.PodTemplateSpec
	// manifest is the API object, and change takes the spec of another one.
	manifest() any
	change(manifest []byte) error
}

type player struct {
	w   *world.World
	set set
	log *log
}

// read reads the manifest of a story, whose name says which kind it is.
func (p *player) read(archive *txtar.Archive) error {
	var object metav1.PartialObjectMetadata
	name := Manifest
	if file(archive, StatefulSetManifest) != "" {
		name = StatefulSetManifest
	}
	text := []byte(file(archive, name))
	if err := yaml.Unmarshal(text, &object); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.log = newLog(p.w, object.Name)
	p.set = &CloneSet{Name: object.Name}
	if name == StatefulSetManifest {
		p.set = &StatefulSet{Name: object.Name}
	}
	if err := p.set.change(text); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
