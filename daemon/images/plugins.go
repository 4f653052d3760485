package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	clitypes "github.com/docker/cli/cli/config/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletv1 "k8s.io/kubelet/config/v1"
	credentialv1 "k8s.io/kubelet/pkg/apis/credentialprovider/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"
)

// pluginTimeout limits a call of a plugin.
const pluginTimeout = time.Minute

// Plugins are kubelet's plugins for credentials, which the daemon asks as kubelet does. A nil value has none.
type Plugins struct {
	folder    string
	providers []kubeletv1.CredentialProvider
	clock     clock.PassiveClock

	mu    sync.Mutex
	known map[string]answer
}

// answer is what a plugin said, until it has to be asked again.
type answer struct {
	until time.Time
	auths map[string]clitypes.AuthConfig
}

// LoadPlugins reads a CredentialProviderConfig of kubelet, whose plugins are in a folder. A file that is not there means no
// plugins. The error names the provider that cannot be used: one that is not there, or that asks for tokens of the pods that
// an image is for, as there are none yet.
func LoadPlugins(file, folder string, now clock.PassiveClock) (*Plugins, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the credential provider plugins: %w", err)
	}
	config := &kubeletv1.CredentialProviderConfig{}
	if err := yaml.UnmarshalStrict(text, config); err != nil {
		return nil, fmt.Errorf("read the credential provider plugins of %s: %w", file, err)
	}
	for _, p := range config.Providers {
		switch info, err := os.Stat(filepath.Join(folder, p.Name)); {
		case p.Name == "" || filepath.Base(p.Name) != p.Name:
			return nil, fmt.Errorf("%s: %q is not the name of a credential provider plugin", file, p.Name)
		case err != nil:
			return nil, fmt.Errorf("%s: credential provider %s: %w", file, p.Name, err)
		case info.IsDir():
			return nil, fmt.Errorf("%s: credential provider %s: %s is a folder", file, p.Name, filepath.Join(folder, p.Name))
		case p.TokenAttributes != nil:
			return nil, fmt.Errorf("%s: credential provider %s: tokenAttributes cannot be had: images are pulled before there are pods whose tokens could be shown", file, p.Name)
		}
	}
	return &Plugins{folder: folder, providers: config.Providers, clock: now, known: map[string]answer{}}, nil
}

// auths are the credentials that the plugins have for an image, by what they are for. An error is that of a plugin; what the
// others said is returned nevertheless.
func (p *Plugins) auths(ctx context.Context, image string) (map[string]clitypes.AuthConfig, error) {
	if p == nil {
		return nil, nil
	}
	all := map[string]clitypes.AuthConfig{}
	var failures []error
	for i := range p.providers {
		provider := &p.providers[i]
		if !slices.ContainsFunc(provider.MatchImages, func(pattern string) bool { return matches(pattern, image) }) {
			continue
		}
		auths, err := p.ask(ctx, provider, image)
		if err != nil {
			failures = append(failures, fmt.Errorf("credential provider %s: %w", provider.Name, err))
			continue
		}
		for pattern, auth := range auths {
			if _, earlier := all[pattern]; !earlier {
				all[pattern] = auth
			}
		}
	}
	return all, errors.Join(failures...)
}

// ask asks a plugin, unless it said for how long its answer holds and the time is not over.
func (p *Plugins) ask(ctx context.Context, provider *kubeletv1.CredentialProvider, image string) (map[string]clitypes.AuthConfig, error) {
	registry, _, _ := strings.Cut(image, "/")
	p.mu.Lock()
	for _, key := range []string{"image " + image, "registry " + registry, "global"} {
		if known, ok := p.known[provider.Name+" "+key]; ok && p.clock.Now().Before(known.until) {
			p.mu.Unlock()
			return known.auths, nil
		}
	}
	p.mu.Unlock()
	response, err := p.call(ctx, provider, image)
	if err != nil {
		return nil, err
	}
	auths := map[string]clitypes.AuthConfig{}
	for pattern, auth := range response.Auth {
		auths[pattern] = clitypes.AuthConfig{Username: auth.Username, Password: auth.Password}
	}
	key := map[credentialv1.PluginCacheKeyType]string{
		credentialv1.ImagePluginCacheKeyType: "image " + image, credentialv1.RegistryPluginCacheKeyType: "registry " + registry,
		credentialv1.GlobalPluginCacheKeyType: "global",
	}[response.CacheKeyType]
	if key == "" {
		return nil, fmt.Errorf("the answer has the cacheKeyType %q", response.CacheKeyType)
	}
	for _, lasts := range []*metav1.Duration{response.CacheDuration, provider.DefaultCacheDuration} {
		if lasts == nil {
			continue
		}
		p.mu.Lock()
		p.known[provider.Name+" "+key] = answer{p.clock.Now().Add(lasts.Duration), auths}
		p.mu.Unlock()
		break
	}
	return auths, nil
}

// call runs a plugin: the request goes in, the answer comes out. Neither the answer nor what the plugin says otherwise is
// told, as there may be secrets in it.
func (p *Plugins) call(ctx context.Context, provider *kubeletv1.CredentialProvider, image string) (*credentialv1.CredentialProviderResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, pluginTimeout)
	defer cancel()
	request, err := json.Marshal(credentialv1.CredentialProviderRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: provider.APIVersion, Kind: "CredentialProviderRequest"}, Image: image,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	command := exec.CommandContext(ctx, filepath.Join(p.folder, provider.Name), provider.Args...) //nolint:gosec // the administrator of the node says what runs
	command.Stdin = bytes.NewReader(request)
	command.Env = os.Environ()
	for _, e := range provider.Env {
		command.Env = append(command.Env, e.Name+"="+e.Value)
	}
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("run it for %s: %w", image, err)
	}
	response := &credentialv1.CredentialProviderResponse{}
	if json.Unmarshal(out, response) != nil || response.APIVersion != provider.APIVersion || response.Kind != "CredentialProviderResponse" {
		return nil, fmt.Errorf("its answer for %s is no CredentialProviderResponse of %s", image, provider.APIVersion)
	}
	return response, nil
}
