package images

import "testing"

func TestAnImageIsReadAsContainerRuntimesReadIt(t *testing.T) {
	const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for image, want := range map[string]struct{ name, tag, text, full string }{
		"nginx":                          {"nginx", "latest", "nginx:latest", "docker.io/library/nginx:latest"},
		"nginx:1.27":                     {"nginx", "1.27", "nginx:1.27", "docker.io/library/nginx:1.27"},
		"docker.io/library/nginx:1.27":   {"nginx", "1.27", "nginx:1.27", "docker.io/library/nginx:1.27"},
		"index.docker.io/library/nginx":  {"nginx", "latest", "nginx:latest", "docker.io/library/nginx:latest"},
		"openkruise/demo:1":              {"openkruise/demo", "1", "openkruise/demo:1", "docker.io/openkruise/demo:1"},
		"registry.lan:5000/shop/web":     {"registry.lan:5000/shop/web", "latest", "registry.lan:5000/shop/web:latest", "registry.lan:5000/shop/web:latest"},
		"localhost/web:a":                {"localhost/web", "a", "localhost/web:a", "localhost/web:a"},
		"nginx@" + digest:                {"nginx", digest, "nginx@" + digest, "docker.io/library/nginx@" + digest},
		"nginx:1.27@" + digest:           {"nginx", digest, "nginx@" + digest, "docker.io/library/nginx@" + digest},
		"quay.io/a/b@" + digest:          {"quay.io/a/b", digest, "quay.io/a/b@" + digest, "quay.io/a/b@" + digest},
		"docker.io/openkruise/demo:1.10": {"openkruise/demo", "1.10", "openkruise/demo:1.10", "docker.io/openkruise/demo:1.10"},
	} {
		t.Run(image, func(t *testing.T) {
			ref, err := Parse(image)
			if err != nil {
				t.Fatal(err)
			}
			if ref.Name != want.name || ref.Tag != want.tag || ref.String() != want.text || ref.Full() != want.full {
				t.Errorf("got name %q, tag %q, %s, in full %s", ref.Name, ref.Tag, ref, ref.Full())
			}
		})
	}
}

func TestWhatIsNoImageIsNamedInTheError(t *testing.T) {
	for _, image := range []string{"", "Nginx", "nginx latest", "https://nginx", "nginx:", "nginx@sha256:12", "a//b"} {
		_, err := Parse(image)
		if err == nil {
			t.Errorf("%q was read", image)
		}
	}
}
