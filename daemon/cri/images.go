package cri

import (
	"context"

	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Image is an image on the node.
type Image struct {
	// ID is the ID of the image in the runtime.
	ID string
	// Tags and Digests are the names by which it can be asked for.
	Tags, Digests []string
	// Size is its size in bytes.
	Size uint64
}

// Image finds an image by any of its names.
func (r *Runtime) Image(ctx context.Context, name string) (image Image, found bool, err error) {
	answer, err := ask(ctx, r, r.images.ImageStatus, &criv1.ImageStatusRequest{Image: &criv1.ImageSpec{Image: name}})
	if NotFound(err) || err == nil && answer.GetImage() == nil {
		return Image{}, false, nil
	}
	if err != nil {
		return Image{}, false, r.failed("looking for image "+name, err)
	}
	i := answer.GetImage()
	return Image{ID: i.GetId(), Tags: i.GetRepoTags(), Digests: i.GetRepoDigests(), Size: i.GetSize()}, true, nil
}

// Credentials are what a registry is shown. The zero value is nobody.
type Credentials struct {
	Username, Password string
	// Auth is username and password as registries take them, in base64.
	Auth string
	// IdentityToken and RegistryToken stand for a user that has no password.
	IdentityToken, RegistryToken string
}

// Pull is what is to be pulled, and what the runtime is told of the pod that it is for.
type Pull struct {
	// Image is the name of the image.
	Image string
	// Credentials are those for its registry, if it wants any.
	Credentials Credentials
	// Labels and Annotations are those of the sandbox.
	Labels, Annotations map[string]string
}

// Pull pulls an image and returns the reference by which the runtime knows it. There is no limit but the context: an image
// takes as long as it takes. Layers that are on the node are not pulled again, so a pull can be repeated. A registry that
// does not answer is no runtime that does not.
func (r *Runtime) Pull(ctx context.Context, p Pull) (string, error) {
	request := &criv1.PullImageRequest{
		Image:         &criv1.ImageSpec{Image: p.Image, Annotations: p.Annotations},
		SandboxConfig: &criv1.PodSandboxConfig{Labels: p.Labels, Annotations: p.Annotations},
	}
	if c := p.Credentials; c != (Credentials{}) {
		// Nothing is said of the registry's address: containerd compares it with the host that it really asks, which is another
		// one for a mirror and for Docker Hub, and then shows nothing.
		request.Auth = &criv1.AuthConfig{
			Username: c.Username, Password: c.Password, Auth: c.Auth,
			IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken,
		}
	}
	answer, err := r.images.PullImage(ctx, request)
	if err != nil {
		return "", r.failed("pulling image "+p.Image, r.blame(ctx, err))
	}
	return answer.GetImageRef(), nil
}
