package images

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/cli/cli/config/configfile"
	clitypes "github.com/docker/cli/cli/config/types"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
)

// Nodes read pull secrets from one namespace, by name. What is there is the manager's business.
//
// +kubebuilder:rbac:groups="",namespace=kruise-daemon-config,resources=secrets,verbs=get

// freshFor is how long a secret is not read again.
const freshFor = 30 * time.Second

// keyring finds credentials for images.
type keyring struct {
	live  client.Reader
	clock clock.PassiveClock

	mu    sync.Mutex
	known map[client.ObjectKey]keys
}

// keys are the credentials of a secret by what they are for.
type keys struct {
	read  time.Time
	auths map[string]clitypes.AuthConfig
}

func newKeyring(live client.Reader, now clock.PassiveClock) *keyring {
	return &keyring{live: live, clock: now, known: map[client.ObjectKey]keys{}}
}

// credentials are those of the secrets that are for an image, the most particular first. A secret that cannot be read is left
// out, which the log says: the image may be public.
func (k *keyring) credentials(ctx context.Context, image string, secrets []v1beta1.ReferenceObject) []cri.Credentials {
	type match struct {
		pattern string
		auth    clitypes.AuthConfig
	}
	var found []match
	for _, secret := range secrets {
		auths, err := k.read(ctx, client.ObjectKey{Namespace: secret.Namespace, Name: secret.Name})
		if err != nil {
			log.FromContext(ctx).Error(err, "Pulling without a secret", "image", image)
			continue
		}
		for pattern, auth := range auths {
			if matches(pattern, image) {
				found = append(found, match{pattern, auth})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b match) int { return strings.Compare(b.pattern, a.pattern) })
	var all []cri.Credentials
	for _, m := range found {
		c := cri.Credentials{
			Username: m.auth.Username, Password: m.auth.Password, ServerAddress: m.auth.ServerAddress,
			IdentityToken: m.auth.IdentityToken, RegistryToken: m.auth.RegistryToken,
		}
		if !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

// read reads a secret, or remembers what it was a moment ago.
func (k *keyring) read(ctx context.Context, key client.ObjectKey) (map[string]clitypes.AuthConfig, error) {
	k.mu.Lock()
	known, ok := k.known[key]
	k.mu.Unlock()
	if ok && k.clock.Since(known.read) < freshFor {
		return known.auths, nil
	}
	secret := &corev1.Secret{}
	if err := k.live.Get(ctx, key, secret); err != nil {
		return nil, fmt.Errorf("read pull secret %s: %w", key, err)
	}
	auths, err := parse(secret)
	if err != nil {
		return nil, fmt.Errorf("read pull secret %s: %w", key, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for other, had := range k.known { // what is not asked for any more is not kept
		if k.clock.Since(had.read) >= freshFor {
			delete(k.known, other)
		}
	}
	k.known[key] = keys{read: k.clock.Now(), auths: auths}
	return auths, nil
}

// parse reads the credentials of a secret.
func parse(secret *corev1.Secret) (map[string]clitypes.AuthConfig, error) {
	text := secret.Data[corev1.DockerConfigJsonKey]
	if old := secret.Data[corev1.DockerConfigKey]; len(text) == 0 && len(old) > 0 { // the form before there was anything else in the file
		text = slices.Concat([]byte(`{"auths":`), old, []byte(`}`))
	}
	if len(text) == 0 {
		return nil, fmt.Errorf("it has neither %s nor %s", corev1.DockerConfigJsonKey, corev1.DockerConfigKey)
	}
	file := configfile.New("")
	if err := file.LoadFromReader(bytes.NewReader(text)); err != nil {
		return nil, fmt.Errorf("its docker config cannot be read: it is no JSON, or a credential is no base64") // the error would show it
	}
	return file.AuthConfigs, nil
}

// matches says whether credentials for a registry, or for a folder of it, are for an image. The host may have wildcards for
// whole words between dots, as kubelet allows. Docker Hub goes by several names.
func matches(pattern, image string) bool {
	pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "https://"), "http://")
	host, folder, _ := strings.Cut(strings.TrimSuffix(pattern, "/"), "/")
	if folder == "v1" || folder == "v2" {
		folder = ""
	}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = "docker.io"
	}
	of, name, _ := strings.Cut(image, "/")
	if strings.Count(host, ".") != strings.Count(of, ".") {
		return false
	}
	wants, has := strings.Split(host, "."), strings.Split(of, ".")
	for i := range wants {
		if ok, err := path.Match(wants[i], has[i]); err != nil || !ok {
			return false
		}
	}
	return folder == "" || name == folder || strings.HasPrefix(name, folder+"/") || strings.HasPrefix(name, folder+":") || strings.HasPrefix(name, folder+"@")
}
