package cri

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The labels by which kubelet says whose a container is.
const (
	labelPodUID        = "io.kubernetes.pod.uid"
	labelContainerName = "io.kubernetes.container.name"
)

// HashAnnotation is the annotation in which kubelet keeps the hash of the container's spec.
const HashAnnotation = "io.kubernetes.container.hash"

// Container is a container as the runtime knows it.
type Container struct {
	// ID is the container's ID in the runtime, without a scheme.
	ID string
	// Name is the name of the container in its pod.
	Name string
	// Running says that its process runs. A container that is only created does not.
	Running bool
	// Attempt counts the containers of this name in the pod, from 0.
	Attempt uint32
	// Created is when the container was made, which is shortly before its process starts.
	Created time.Time
	// Annotations are those of kubelet.
	Annotations map[string]string
}

// Containers lists the containers of a pod: of each name the newest, by name.
func (r *Runtime) Containers(ctx context.Context, podUID string) (map[string]Container, error) {
	answer, err := ask(ctx, r, r.runtime.ListContainers, &criv1.ListContainersRequest{
		Filter: &criv1.ContainerFilter{LabelSelector: map[string]string{labelPodUID: podUID}},
	})
	if err != nil {
		return nil, r.failed("listing the containers of pod "+podUID, err)
	}
	newest := map[string]Container{}
	for _, c := range answer.GetContainers() {
		found := Container{
			ID:          c.GetId(),
			Name:        c.GetLabels()[labelContainerName],
			Running:     c.GetState() == criv1.ContainerState_CONTAINER_RUNNING,
			Attempt:     c.GetMetadata().GetAttempt(),
			Created:     time.Unix(0, c.GetCreatedAt()),
			Annotations: c.GetAnnotations(),
		}
		if other, twice := newest[found.Name]; !twice || found.newer(other) {
			newest[found.Name] = found
		}
	}
	return newest, nil
}

// newer tells the later of two containers of one name. The time decides: attempts begin anew when kubelet forgets.
func (c Container) newer(other Container) bool {
	if !c.Created.Equal(other.Created) {
		return c.Created.After(other.Created)
	}
	return c.Attempt > other.Attempt
}

// Life is when the process of a container started, and how it ended.
type Life struct {
	// Started is zero for a container that never started.
	Started time.Time
	// ExitCode is 0 while the process runs.
	ExitCode int32
}

// Life asks for the life of a container.
func (r *Runtime) Life(ctx context.Context, id string) (Life, error) {
	answer, err := ask(ctx, r, r.runtime.ContainerStatus, &criv1.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		return Life{}, r.failed("asking for the status of container "+id, err)
	}
	life := Life{ExitCode: answer.GetStatus().GetExitCode()}
	if at := answer.GetStatus().GetStartedAt(); at > 0 {
		life.Started = time.Unix(0, at)
	}
	return life, nil
}

// Env is the environment with which a container was started. A runtime tells it (containerd and CRI-O do), or else the
// command env in the container does; an image without that command cannot be looked into then.
func (r *Runtime) Env(ctx context.Context, id string) (map[string]string, error) {
	answer, err := ask(ctx, r, r.runtime.ContainerStatus, &criv1.ContainerStatusRequest{ContainerId: id, Verbose: true})
	if err != nil {
		return nil, r.failed("asking for the environment of container "+id, err)
	}
	var info struct {
		RuntimeSpec struct {
			Process struct {
				Env []string `json:"env"`
			} `json:"process"`
		} `json:"runtimeSpec"`
	}
	lines := []string{}
	if json.Unmarshal([]byte(answer.GetInfo()["info"]), &info) == nil {
		lines = info.RuntimeSpec.Process.Env
	}
	if len(lines) == 0 {
		out, err := r.Exec(ctx, id, []string{"env"}, r.options.Timeout)
		if err != nil {
			return nil, err
		}
		if out.ExitCode != 0 {
			return nil, fmt.Errorf("the command env in container %s ended with exit code %d", id, out.ExitCode)
		}
		lines = strings.Split(string(out.Stdout), "\n")
	}
	env := map[string]string{}
	for _, line := range lines {
		if name, value, ok := strings.Cut(line, "="); ok {
			env[name] = value
		}
	}
	return env, nil
}

// PodIP is the address of a pod; empty for a pod in the network of the node, and for one that does not run.
func (r *Runtime) PodIP(ctx context.Context, podUID string) (string, error) {
	answer, err := ask(ctx, r, r.runtime.ListPodSandbox, &criv1.ListPodSandboxRequest{Filter: &criv1.PodSandboxFilter{
		LabelSelector: map[string]string{labelPodUID: podUID},
		State:         &criv1.PodSandboxStateValue{State: criv1.PodSandboxState_SANDBOX_READY},
	}})
	if err != nil {
		return "", r.failed("listing the sandboxes of pod "+podUID, err)
	}
	if len(answer.GetItems()) == 0 {
		return "", nil
	}
	id := answer.GetItems()[0].GetId() // a pod has one that is ready
	status, err := ask(ctx, r, r.runtime.PodSandboxStatus, &criv1.PodSandboxStatusRequest{PodSandboxId: id})
	if err != nil {
		return "", r.failed("asking for the status of sandbox "+id, err)
	}
	return status.GetStatus().GetNetwork().GetIp(), nil
}

// Stop stops a container: the runtime sends the stop signal and, after the grace period, kills. It returns when the process
// is gone. A container that is gone or stopped already is no error, so a stop can be repeated. The runtime counts whole
// seconds; a grace period is rounded up to them. A process that does not die is no runtime that does not answer.
func (r *Runtime) Stop(ctx context.Context, id string, grace time.Duration) error {
	seconds := int64((grace + time.Second - 1) / time.Second)
	limited, cancel := context.WithTimeout(ctx, grace+r.options.Slack)
	defer cancel()
	_, err := r.runtime.StopContainer(limited, &criv1.StopContainerRequest{ContainerId: id, Timeout: seconds})
	if err != nil && !NotFound(err) {
		return r.failed("stopping container "+id, r.blame(ctx, err))
	}
	return nil
}

// Output is what a command in a container left.
type Output struct {
	Stdout, Stderr []byte
	ExitCode       int32
}

// ErrCommandTimeout is the error of a command that did not end in time, be it that the runtime says so or that it hangs.
var ErrCommandTimeout = errors.New("the command did not end in time")

// Exec runs a command in a container and returns when it has ended. It is an error if that takes longer than the limit, of
// which the runtime counts whole seconds.
func (r *Runtime) Exec(ctx context.Context, id string, command []string, limit time.Duration) (Output, error) {
	ctx, cancel := context.WithTimeout(ctx, limit+r.options.Slack)
	defer cancel()
	answer, err := r.runtime.ExecSync(ctx, &criv1.ExecSyncRequest{
		ContainerId: id, Cmd: command, Timeout: int64((limit + time.Second - 1) / time.Second),
	})
	if err != nil {
		if codeOf(err) == codes.DeadlineExceeded {
			err = errors.Join(ErrCommandTimeout, err)
		}
		return Output{}, r.failed("running a command in container "+id, err)
	}
	return Output{Stdout: answer.GetStdout(), Stderr: answer.GetStderr(), ExitCode: answer.GetExitCode()}, nil
}
