package images

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Address says where the image with the public name ref lives in the lab's registry (host:port). The host of the public name
// is dropped, since one registry stands in for every public one: registry.k8s.io/pause:3.10 is at <registry>/pause:3.10, and
// busybox, which is short for docker.io/library/busybox:latest, at <registry>/library/busybox:latest.
func Address(registry, ref string) (name.Tag, error) {
	public, err := name.NewTag(ref)
	if err != nil {
		return name.Tag{}, fmt.Errorf("image name %q: %w", ref, err)
	}
	// Plain HTTP: the registry listens on an address that only this machine and the lab's nodes reach.
	address, err := name.NewTag(registry+"/"+public.RepositoryStr()+":"+public.TagStr(), name.Insecure)
	if err != nil {
		return name.Tag{}, fmt.Errorf("address of image %q in the registry %q: %w", ref, registry, err)
	}
	return address, nil
}

// Push sends image to the lab's registry (host:port, plain HTTP) under the path of its public name ref. Layers that the
// registry has are not sent again.
func Push(ctx context.Context, registry, ref string, image v1.Image) error {
	address, err := Address(registry, ref)
	if err != nil {
		return err
	}
	// No proxy: the one that a machine needs for the internet does not reach the lab.
	direct := &http.Transport{DisableKeepAlives: true}
	if err := remote.Write(address, image, remote.WithContext(ctx), remote.WithTransport(direct)); err != nil {
		return fmt.Errorf("push image %s to the lab's registry as %s: %w", ref, address, err)
	}
	return nil
}
