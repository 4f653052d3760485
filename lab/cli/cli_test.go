package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"kruise.io/kruise/lab/cluster"
	"kruise.io/kruise/lab/preflight"
)

// run runs a command and returns what it prints.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := New()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// lab writes what a lab that is down has on disk, and returns its folder.
func lab(t *testing.T, state cluster.State) string {
	t.Helper()
	dir := t.TempDir()
	if err := state.Save(dir); err != nil {
		t.Fatal(err)
	}
	log := state.Layout(dir).Log("kube-apiserver")
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, []byte("a line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestMistakesAreAnsweredWithWhatToDo(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	down := lab(t, cluster.State{Name: "a", Nodes: 2})
	simulated := lab(t, cluster.State{Name: "a"})
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"the status of a lab that is not there":     {[]string{"status", "--data-dir", nowhere}, "start one with kruise-lab up"},
		"the kubeconfig of a lab that is not there": {[]string{"kubeconfig", "--data-dir", nowhere}, "start one with kruise-lab up"},
		"an installation where there is no lab":     {[]string{"install", "--data-dir", nowhere}, "start one with kruise-lab up"},
		"the status of a lab that is down":          {[]string{"status", "--data-dir", down}, "kruise-lab up starts it again"},
		"the log of nothing":                        {[]string{"logs", "apiserver", "--data-dir", down}, "the components with logs are kube-apiserver"},
		"a log outside of the folder":               {[]string{"logs", "../state", "--data-dir", down}, `no component "../state"`},
		"an image for simulated nodes":              {[]string{"load-image", "x.tar", "--data-dir", simulated}, "no real nodes and so no registry"},
		"one name for two images":                   {[]string{"load-image", "x.tar", "y.tar", "--ref", "z:1", "--data-dir", down}, "it can name one image"},
		"a component that is not there is killed":   {[]string{"kill", "apiserver", "--data-dir", down}, `no component "apiserver"`},
		"a node that is not there is cut off":       {[]string{"cut", "node-3", "--data-dir", down}, "its nodes are node-1, node-2"},
		"a node of a lab that is down is mended":    {[]string{"mend", "node-1", "--data-dir", down}, "kruise-lab up starts it again"},
		"an unknown part":                           {[]string{"parts", "kublet"}, `no part "kublet"`},
		"an unknown flag":                           {[]string{"up", "--node", "2"}, "unknown flag: --node"},
		"a bad name":                                {[]string{"up", "--name", "A", "--nodes", "0", "--data-dir", nowhere}, `--name "A"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, tc.args...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestLogsPrintsTheLog(t *testing.T) {
	got, err := run(t, "logs", "kube-apiserver", "--data-dir", lab(t, cluster.State{Name: "a"}))
	if err != nil || got != "a line\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestKubeconfigPrintsAPathForTheShell(t *testing.T) {
	dir := lab(t, cluster.State{Name: "a"})
	got, err := run(t, "kubeconfig", "--data-dir", dir)
	if err != nil || got != filepath.Join(dir, "kubeconfig")+"\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestWhatIsNotGivenIsAsItWasTheLastTime(t *testing.T) {
	dir := lab(t, cluster.State{Name: "a", Nodes: 5, Simulated: 7, Audit: true, Kubernetes: "1.35.4"})
	var build buildFlags
	opts := cluster.Options{Dir: dir}
	cmd := &cobra.Command{}
	build.add(cmd)
	cmd.Flags().IntVar(&opts.Nodes, "nodes", 2, "")
	cmd.Flags().IntVar(&opts.Simulated, "simulated", 0, "")
	cmd.Flags().BoolVar(&opts.Audit, "audit", false, "")
	if err := cmd.ParseFlags([]string{"--nodes=3", "--audit=false"}); err != nil {
		t.Fatal(err)
	}
	if err := remember(cmd, &opts, &build); err != nil {
		t.Fatal(err)
	}
	if opts.Nodes != 3 || opts.Audit || opts.Simulated != 7 || build.kubernetes != "1.35.4" {
		t.Errorf("got %+v and Kubernetes %s", opts, build.kubernetes)
	}
}

func TestMissingToolsAreNotInstalledUnasked(t *testing.T) {
	var flags buildFlags
	err := flags.requireTools(&cobra.Command{}, []preflight.Tool{{Name: "iptables", Package: "iptables"}})
	if err == nil || !strings.Contains(err.Error(), "apt-get install --yes --no-install-recommends iptables") {
		t.Errorf("got %v, want the command that installs it", err)
	}
}
