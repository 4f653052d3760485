package story

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

// Names of the files in a story. Which manifest there is says of what kind the workload is.
const (
	Manifest            = "cloneset.yaml"
	StatefulSetManifest = "statefulset.yaml"
	DaemonSetManifest   = "daemonset.yaml"
	SidecarSetManifest  = "sidecarset.yaml"
	Script              = "script"
	Log                 = "log"
)

// set is a workload of some kind in a world.
type set interface {
	// decide lets its controller decide what to do, and checks the promises that the plan shows.
	decide(w *world.World) (turn, error)
	// status tells what its status would say.
	status(w *world.World) (string, error)
	// container is a container that it makes, by name, which may be changed; nil for none.
	container(name string) *corev1.Container
	// patch merges into its manifest.
	patch(merge []byte) error
	// gate opens a feature gate.
	gate(name string) error
}

// turn is one turn of a controller.
type turn interface {
	// facts are what it sees, and what it decides.
	facts() ([]replica.Replica, podset.Plan)
	// moves are the lines of the table of package lifecycle by which the plan moves pods.
	moves() ([]lifecycle.Transition, error)
	// Act carries the decision out, and checks the promises of the world. After so many writes the controller ends.
	Act(w *world.World, writes int) error
}

// manifests are the readers of manifests, by the names of their files. Each returns the name of the workload, too.
func manifests() map[string]func(text []byte) (string, set, error) {
	return map[string]func([]byte) (string, set, error){
		Manifest: readCloneSet, StatefulSetManifest: readStatefulSet, DaemonSetManifest: readDaemonSet, SidecarSetManifest: readSidecarSet,
	}
}

// longest is how long a world may take to come to rest.
const longest = 10 * time.Minute

// Play plays a story and returns its log. An error names the line of the script.
func Play(archive *txtar.Archive) (string, error) {
	return Watch(archive, func([]replica.Replica, []lifecycle.Transition) {})
}

// Watch plays a story and shows what the controller sees in each of its turns, and how its plan moves the pods.
func Watch(archive *txtar.Archive, show func(seen []replica.Replica, moves []lifecycle.Transition)) (string, error) {
	name, c, err := manifest(archive)
	if err != nil {
		return "", err
	}
	w := world.New()
	p := &player{w: w, c: c, log: newLog(w, name), show: show}
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

// manifest reads the manifest of a story.
func manifest(archive *txtar.Archive) (string, set, error) {
	for name, read := range manifests() {
		text := file(archive, name)
		if text == "" {
			continue
		}
		of, c, err := read([]byte(text))
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", name, err)
		}
		return of, c, nil
	}
	return "", nil, fmt.Errorf("the story has no manifest")
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
	c   set
	log *log
	// show is shown each turn of the controller.
	show func([]replica.Replica, []lifecycle.Transition)
}
