package images

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// Ref is an image as NodeImages name it: Name without docker.io/library, and Tag, which is a tag or a digest.
type Ref struct{ Name, Tag string }

// Parse reads the name of an image as container runtimes do: without a registry it is docker.io's, without a tag it is
// latest, and beside a digest a tag means nothing.
func Parse(image string) (Ref, error) {
	named, err := reference.ParseDockerRef(image)
	if err != nil {
		return Ref{}, fmt.Errorf("image %q cannot be read: %w", image, err)
	}
	ref := Ref{Name: reference.FamiliarName(named)}
	switch named := named.(type) {
	case reference.Digested:
		ref.Tag = named.Digest().String()
	case reference.Tagged:
		ref.Tag = named.Tag()
	}
	return ref, nil
}

// String is the image as a user would write it.
func (r Ref) String() string { return r.Name + r.separator() + r.Tag }

// Full is the image with its registry, so that no runtime looks for it under another one.
func (r Ref) Full() string {
	name := r.Name
	if named, err := reference.ParseNormalizedNamed(name); err == nil {
		name = named.Name()
	}
	return name + r.separator() + r.Tag
}

func (r Ref) separator() string {
	if strings.Contains(r.Tag, ":") { // a digest; no tag has a colon
		return "@"
	}
	return ":"
}
