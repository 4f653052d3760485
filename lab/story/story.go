package story

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
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
const longest = 10 * time.Minute

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
