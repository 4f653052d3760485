package images

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
)

// plugin writes a plugin that answers with its own name, and counts its calls in a file.
func plugin(t *testing.T, folder, name, cacheKey string) {
	t.Helper()
	script := fmt.Sprintf(`#!/bin/sh
echo x >> %[1]s/calls
cat > %[1]s/request
echo '{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse","cacheKeyType":"%[3]s","auth":{"registry.lan":{"username":"%[2]s","password":"'$1$SECRET'"}}}'
`, folder, name, cacheKey)
	if err := os.WriteFile(filepath.Join(folder, name), []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
}

func config(t *testing.T, folder, providers string) string {
	t.Helper()
	file := filepath.Join(folder, "config.yaml")
	text := "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n" + providers
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const provider = `- {name: ask, apiVersion: credentialprovider.kubelet.k8s.io/v1, defaultCacheDuration: 1m, matchImages: ["*.lan"], args: [pass], env: [{name: SECRET, value: word}]}
`

func TestKubeletsPluginsAreAskedAsKubeletAsksThem(t *testing.T) {
	folder := t.TempDir()
	plugin(t, folder, "ask", "Registry")
	now := clocktesting.NewFakePassiveClock(time.Now())
	p, err := LoadPlugins(config(t, folder, provider), folder, now)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(image string) string {
		t.Helper()
		auths, err := p.auths(t.Context(), image)
		if err != nil {
			t.Fatal(err)
		}
		return auths["registry.lan"].Username + ":" + auths["registry.lan"].Password
	}
	calls := func() int {
		text, err := os.ReadFile(filepath.Join(folder, "calls"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "x")
	}
	if got := ask("registry.lan/web:1"); got != "ask:password" {
		t.Errorf("got %s", got)
	}
	request, err := os.ReadFile(filepath.Join(folder, "request"))
	if err != nil || !strings.Contains(string(request), `"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1","image":"registry.lan/web:1"`) {
		t.Errorf("it was asked %s, %v", request, err)
	}
	if ask("registry.lan/other:1"); calls() != 1 {
		t.Errorf("it was asked %d times about one registry", calls())
	}
	now.SetTime(now.Now().Add(time.Minute))
	if ask("registry.lan/web:1"); calls() != 2 {
		t.Errorf("after its time it was asked %d times", calls())
	}
	if got := ask("quay.io/web:1"); got != ":" || calls() != 2 {
		t.Errorf("about another registry it says %s", got)
	}
}

func TestPluginsThatCannotBeUsedAreNamedAtTheStart(t *testing.T) {
	folder := t.TempDir()
	plugin(t, folder, "ask", "Image")
	for name, c := range map[string]struct{ providers, want string }{
		"one that is not there":         {strings.Replace(provider, "ask", "absent", 1), "credential provider absent"},
		"one elsewhere":                 {strings.Replace(provider, "ask", "../ask", 1), `"../ask" is not the name`},
		"one that asks for tokens":      {strings.Replace(provider, "args", "tokenAttributes: {serviceAccountTokenAudience: a}, args", 1), "tokenAttributes cannot be had"},
		"a field that does not exist":   {strings.Replace(provider, "args", "argz", 1), `unknown field "argz"`},
		"a file that is no such config": {"- 5\n", "read the credential provider plugins of"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := LoadPlugins(config(t, folder, c.providers), folder, clock.RealClock{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
	if p, err := LoadPlugins(filepath.Join(folder, "absent.yaml"), folder, clock.RealClock{}); p != nil || err != nil {
		t.Errorf("without a file there is %v, %v", p, err)
	}
}

func TestAPluginThatAnswersNonsenseIsNamedAndItsAnswerIsNotTold(t *testing.T) {
	folder := t.TempDir()
	for name, script := range map[string]string{
		"no JSON":         "echo hunter2",
		"another kind":    `echo '{"kind":"hunter2"}'`,
		"a failure":       "echo hunter2 >&2; exit 1",
		"no cache at all": `echo '{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse","auth":{"a":{"username":"u","password":"hunter2"}}}'`,
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(folder, "ask"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil { //nolint:gosec // a program
				t.Fatal(err)
			}
			p, err := LoadPlugins(config(t, folder, provider), folder, clock.RealClock{})
			if err != nil {
				t.Fatal(err)
			}
			auths, err := p.auths(t.Context(), "registry.lan/web:1")
			if err == nil || !strings.Contains(err.Error(), "credential provider ask") || strings.Contains(err.Error(), "hunter2") || len(auths) > 0 {
				t.Errorf("got %v and the error %v", auths, err)
			}
		})
	}
}
