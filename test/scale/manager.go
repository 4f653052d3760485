package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// installCRDs makes the API server serve the kinds that are measured. There are no webhooks here: they cost the same for a workload
// of one pod and of a thousand, and nothing in these measurements needs their conversion, their defaults or their checks.
func (l *lab) installCRDs(ctx context.Context) error {
	for _, resource := range []string{"clonesets", "statefulsets", "daemonsets", "nodeimages", "imagepulljobs", "imagelistpulljobs"} {
		if err := l.installCRD(ctx, fmt.Sprintf(crdFiles, resource)); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) installCRD(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the CustomResourceDefinition (run this from the root of the repository): %w", err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(text, crd); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	crd.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.NoneConverter}
	if err := l.objects.Create(ctx, crd); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("installing %s: %w", file, err)
	}
	return poll(ctx, func(ctx context.Context) (bool, error) {
		if err := l.objects.Get(ctx, client.ObjectKeyFromObject(crd), crd); err != nil {
			return false, err
		}
		return slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
			return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
		}), nil
	})
}

// poll asks until the answer is yes. It is for what nobody can watch, and for what is not timed.
func poll(ctx context.Context, ask wait.ConditionWithContextFunc) error {
	return wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, ask)
}

// manager is a kruise-manager that runs as a plain process beside the cluster.
type manager struct {
	cmd     *exec.Cmd
	ended   chan error
	metrics string
	pprof   string
	// controller is the one whose work is counted.
	controller string
	log        *os.File
}

// startManager starts a kruise-manager with some gates on, and waits until it works on CloneSets.
func startManager(ctx context.Context, l *lab, controller string, profiling bool, gates ...string) (*manager, error) {
	metrics, errMetrics := freeAddress()
	pprof, errPprof := freeAddress()
	webhook, errWebhook := freeAddress()
	logFile, errLog := os.Create(l.layout.Log("kruise-manager"))
	if err := errors.Join(errMetrics, errPprof, errWebhook, errLog); err != nil {
		return nil, fmt.Errorf("starting kruise-manager: %w", err)
	}
	_, port, _ := strings.Cut(webhook, ":")
	m := &manager{metrics: metrics, pprof: pprof, controller: controller, log: logFile, ended: make(chan error, 1)}
	m.cmd = exec.Command(managerProgram, "--kubeconfig="+l.layout.Kubeconfig(), "--enable-leader-election=false",
		"--metrics-addr="+metrics, "--health-probe-addr=0", "--webhook-port="+port, "--feature-gates="+strings.Join(append(gates, "EnableExternalCerts=true"), ","),
		"--enable-pprof="+strconv.FormatBool(profiling), "--pprof-addr="+pprof, "--nodeimage-creation-delay=0s")
	m.cmd.Env = append(os.Environ(), "POD_NAMESPACE=default")
	m.cmd.Stdout, m.cmd.Stderr = logFile, logFile
	// An interrupt of the terminal is for this program, which then stops the manager itself.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", managerProgram, err)
	}
	go func() { m.ended <- m.cmd.Wait() }()
	if err := m.works(ctx, l); err != nil {
		return nil, errors.Join(err, m.stop())
	}
	return m, nil
}

// freeAddress is an address on this machine where nobody listens.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

// works waits until a CloneSet of some pods is up, which is also a warm-up: the kinds share most of what they do.
func (m *manager) works(ctx context.Context, l *lab) error {
	const size = 20
	set := newCloneSet("warm-up", size)
	if err := l.objects.Create(ctx, set.object); err != nil {
		return fmt.Errorf("creating a CloneSet to warm up with: %w", err)
	}
	err := poll(ctx, func(ctx context.Context) (bool, error) {
		select {
		case err := <-m.ended:
			m.ended <- err
			return false, fmt.Errorf("kruise-manager ended (%w); its log is %s", err, m.log.Name())
		default:
			return l.settled(ctx, set, size)
		}
	})
	if err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	return l.remove(ctx, set.object)
}

// stop ends the manager and waits for it.
func (m *manager) stop() error {
	defer m.log.Close()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping kruise-manager: %w", err)
	}
	if err := <-m.ended; err != nil {
		return fmt.Errorf("kruise-manager ended with %w; its log is %s", err, m.log.Name())
	}
	return nil
}

// reconciles is how many times the controller has looked at an object so far.
func (m *manager) reconciles(ctx context.Context) (float64, error) {
	text, err := fetch(ctx, "http://"+m.metrics+"/metrics")
	if err != nil {
		return 0, err
	}
	var sum float64
	counter := fmt.Sprintf("controller_runtime_reconcile_total{controller=%q", m.controller)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, counter) {
			fields := strings.Fields(line)
			n, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			if err != nil {
				return 0, fmt.Errorf("reading the metrics of kruise-manager: %w", err)
			}
			sum += n
		}
	}
	return sum, nil
}

// profile writes profiles into a folder: of the processor time of the manager and of the API server for some seconds from
// now on, and of the manager's memory and what it allocated at the end of that. The function that it returns waits for
// them.
func (m *manager) profile(ctx context.Context, l *lab, folder, name string, seconds int) (finish func() error) {
	var group errgroup.Group
	group.Go(func() error {
		return m.save(ctx, "profile?seconds="+strconv.Itoa(seconds), filepath.Join(folder, name+".cpu"))
	})
	group.Go(func() error {
		profile, err := l.kube.Discovery().RESTClient().Get().AbsPath("/debug/pprof/profile").Param("seconds", strconv.Itoa(seconds)).DoRaw(ctx)
		if err != nil {
			return fmt.Errorf("profiling the API server: %w", err)
		}
		return writeProfile(filepath.Join(folder, name+".apiserver.cpu"), profile)
	})
	return func() error {
		err := group.Wait()
		for _, kind := range []string{"heap", "allocs"} {
			err = errors.Join(err, m.save(ctx, kind, filepath.Join(folder, name+"."+kind)))
		}
		return err
	}
}

func (m *manager) save(ctx context.Context, kind, file string) error {
	profile, err := fetch(ctx, "http://"+m.pprof+"/debug/pprof/"+kind)
	if err != nil {
		return err
	}
	return writeProfile(file, profile)
}

func writeProfile(file string, profile []byte) error {
	if err := os.WriteFile(file, profile, 0o600); err != nil {
		return fmt.Errorf("writing a profile: %w", err)
	}
	return nil
}

func fetch(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", url, err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking kruise-manager: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", url, err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking for %s: %s", url, answer.Status)
	}
	return body, nil
}
