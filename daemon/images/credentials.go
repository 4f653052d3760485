package images

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/cli/cli/config/configfile"
	clitypes "github.com/docker/cli/cli/config/types"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/kit/agent"
)

// Nodes read pull secrets from one namespace, by name. What is there is the manager's business.
//
// +kubebuilder:rbac:groups="",namespace=kruise-daemon-config,resources=secrets,verbs=get

// freshFor is how long a secret is not read again.
const freshFor = 30 * time.Second

// keyring finds credentials for images.
type keyring struct {
	api     agent.API
	plugins *Plugins
	clock   clock.PassiveClock

	mu    sync.Mutex
	known map[types.NamespacedName]keys
}

// keys are the credentials of a secret by what they are for.
type keys struct {
	read  time.Time
	auths map[string]clitypes.AuthConfig
}

func newKeyring(api agent.API, plugins *Plugins, now clock.PassiveClock) *keyring {
	return &keyring{api: api, plugins: plugins, clock: now, known: map[types.NamespacedName]keys{}}
}

// credentials are those for an image: of the secrets, and then of the plugins, the most particular first. What cannot be read
// is left out, which the log says: the image may be public.
func (k *keyring) credentials(ctx context.Context, image string, secrets []v1beta1.ReferenceObject) []cri.Credentials {
	logger := log.FromContext(ctx).WithValues("image", image)
	bySecret := map[string][]clitypes.AuthConfig{}
	for _, secret := range secrets {
		auths, err := k.read(ctx, types.NamespacedName{Namespace: secret.Namespace, Name: secret.Name})
		if err != nil {
			logger.Error(err, "Pulling without a secret")
			continue
		}
		for pattern, auth := range auths {
			bySecret[pattern] = append(bySecret[pattern], auth)
		}
	}
	byPlugin := map[string][]clitypes.AuthConfig{}
	auths, err := k.plugins.auths(ctx, image)
	if err != nil {
		logger.Error(err, "Pulling without a credential provider")
	}
	for pattern, auth := range auths {
		byPlugin[pattern] = append(byPlugin[pattern], auth)
	}
	return slices.Concat(matching(bySecret, image), matching(byPlugin, image))
}

// matching are the credentials that are for an image, the most particular first.
func matching(all map[string][]clitypes.AuthConfig, image string) []cri.Credentials {
	var found []cri.Credentials
	patterns := slices.Sorted(maps.Keys(all))
	slices.Reverse(patterns)
	for _, pattern := range patterns {
		if !matches(pattern, image) {
			continue
		}
		for _, auth := range all[pattern] {
			c := cri.Credentials{
				Username: auth.Username, Password: auth.Password,
				IdentityToken: auth.IdentityToken, RegistryToken: auth.RegistryToken,
			}
			if !slices.Contains(found, c) {
				found = append(found, c)
			}
		}
	}
	return found
}

// read reads a secret, or remembers what it was a moment ago.
func (k *keyring) read(ctx context.Context, key types.NamespacedName) (map[string]clitypes.AuthConfig, error) {
	k.mu.Lock()
	known, ok := k.known[key]
	k.mu.Unlock()
	if ok && k.clock.Since(known.read) < freshFor {
		return known.auths, nil
	}
	secret := &corev1.Secret{}
	if err := k.api.Get(ctx, key, secret); err != nil {
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
