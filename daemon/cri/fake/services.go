package fake

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	labelPodUID        = "io.kubernetes.pod.uid"
	labelContainerName = "io.kubernetes.container.name"
)

// Version implements the service of the interface.
func (r *Runtime) Version(context.Context, *criv1.VersionRequest) (*criv1.VersionResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &criv1.VersionResponse{Version: "0.1.0", RuntimeName: r.name, RuntimeVersion: r.version, RuntimeApiVersion: "v1"}, nil
}

// ImageFsInfo implements the service of the interface.
func (r *Runtime) ImageFsInfo(context.Context, *criv1.ImageFsInfoRequest) (*criv1.ImageFsInfoResponse, error) {
	return &criv1.ImageFsInfoResponse{}, nil
}

// ListContainers implements the service of the interface.
func (r *Runtime) ListContainers(_ context.Context, req *criv1.ListContainersRequest) (*criv1.ListContainersResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	answer := &criv1.ListContainersResponse{}
	for _, id := range r.ids() {
		c := r.containers[id]
		if uid := req.GetFilter().GetLabelSelector()[labelPodUID]; uid != "" && uid != c.PodUID {
			continue
		}
		answer.Containers = append(answer.Containers, &criv1.Container{
			Id: c.ID, PodSandboxId: c.PodUID, State: c.shown(), CreatedAt: c.Created,
			Metadata:    &criv1.ContainerMetadata{Name: c.Name, Attempt: c.Attempt},
			Labels:      map[string]string{labelPodUID: c.PodUID, labelContainerName: c.Name},
			Annotations: c.Annotations,
		})
	}
	return answer, nil
}

func (c *Container) shown() criv1.ContainerState {
	if c.Shown != nil {
		return *c.Shown
	}
	return c.State
}

// ContainerStatus implements the service of the interface.
func (r *Runtime) ContainerStatus(_ context.Context, req *criv1.ContainerStatusRequest) (*criv1.ContainerStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[req.GetContainerId()]
	if c == nil {
		return nil, status.Errorf(codes.NotFound, "no container %q", req.GetContainerId())
	}
	answer := &criv1.ContainerStatus{
		Id: c.ID, State: c.shown(), CreatedAt: c.Created, StartedAt: c.Started,
		Metadata: &criv1.ContainerMetadata{Name: c.Name, Attempt: c.Attempt}, Annotations: c.Annotations,
	}
	if c.Exited() {
		answer.ExitCode = c.ExitCode
	}
	told := map[string]string{}
	if req.GetVerbose() && !c.Discreet {
		info, err := json.Marshal(map[string]any{"runtimeSpec": map[string]any{"process": map[string]any{"env": c.Env}}})
		if err != nil {
			return nil, status.Errorf(codes.Internal, "telling of container %q: %v", c.ID, err)
		}
		told["info"] = string(info)
	}
	return &criv1.ContainerStatusResponse{Status: answer, Info: told}, nil
}

// ListPodSandbox implements the service of the interface.
func (r *Runtime) ListPodSandbox(_ context.Context, req *criv1.ListPodSandboxRequest) (*criv1.ListPodSandboxResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	answer := &criv1.ListPodSandboxResponse{}
	uid := req.GetFilter().GetLabelSelector()[labelPodUID]
	if _, known := r.sandboxes[uid]; known {
		answer.Items = append(answer.Items, &criv1.PodSandbox{Id: uid, State: criv1.PodSandboxState_SANDBOX_READY})
	}
	return answer, nil
}

// PodSandboxStatus implements the service of the interface.
func (r *Runtime) PodSandboxStatus(_ context.Context, req *criv1.PodSandboxStatusRequest) (*criv1.PodSandboxStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &criv1.PodSandboxStatusResponse{Status: &criv1.PodSandboxStatus{
		Id: req.GetPodSandboxId(), Network: &criv1.PodSandboxNetworkStatus{Ip: r.sandboxes[req.GetPodSandboxId()]},
	}}, nil
}

// StopContainer implements the service of the interface.
func (r *Runtime) StopContainer(_ context.Context, req *criv1.StopContainerRequest) (*criv1.StopContainerResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[req.GetContainerId()]
	if c == nil {
		return nil, status.Errorf(codes.NotFound, "no container %q", req.GetContainerId())
	}
	if c.State == criv1.ContainerState_CONTAINER_RUNNING {
		c.Stops = append(c.Stops, req.GetTimeout())
		c.State = criv1.ContainerState_CONTAINER_EXITED
		r.changed.Broadcast()
	}
	return &criv1.StopContainerResponse{}, nil
}

// ExecSync implements the service of the interface.
func (r *Runtime) ExecSync(_ context.Context, req *criv1.ExecSyncRequest) (*criv1.ExecSyncResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[req.GetContainerId()]
	if c == nil {
		return nil, status.Errorf(codes.NotFound, "no container %q", req.GetContainerId())
	}
	if c.State != criv1.ContainerState_CONTAINER_RUNNING {
		return nil, status.Errorf(codes.Unknown, "container %q does not run", c.ID)
	}
	c.Commands = append(c.Commands, req.GetCmd())
	r.changed.Broadcast()
	if c.Says != nil {
		out, code := c.Says(req.GetCmd())
		return &criv1.ExecSyncResponse{Stdout: []byte(out), ExitCode: code}, nil
	}
	if slices.Equal(req.GetCmd(), []string{"env"}) {
		return &criv1.ExecSyncResponse{Stdout: []byte(strings.Join(c.Env, "\n") + "\n")}, nil
	}
	return &criv1.ExecSyncResponse{}, nil
}

// ImageStatus implements the service of the interface.
func (r *Runtime) ImageStatus(_ context.Context, req *criv1.ImageStatusRequest) (*criv1.ImageStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.find(req.GetImage().GetImage()); i != nil && !i.Remote {
		return &criv1.ImageStatusResponse{Image: &criv1.Image{Id: i.ID, RepoTags: i.Tags, RepoDigests: i.Digests, Size: i.Size}}, nil
	}
	return &criv1.ImageStatusResponse{}, nil
}

// PullImage implements the service of the interface. What the caller has given up is not pulled.
func (r *Runtime) PullImage(ctx context.Context, req *criv1.PullImageRequest) (*criv1.PullImageResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	i := r.find(req.GetImage().GetImage())
	if i == nil {
		return nil, status.Errorf(codes.NotFound, "no image %q", req.GetImage().GetImage())
	}
	user := req.GetAuth().GetUsername()
	if req.GetAuth().GetServerAddress() != "" {
		user = "" // as containerd does where a mirror stands in for the registry, whose address is another
	}
	if len(i.Users) > 0 && !slices.Contains(i.Users, user) {
		return nil, status.Errorf(codes.Unknown, "image %q: unexpected status 401 Unauthorized", req.GetImage().GetImage())
	}
	i.Remote = false
	i.Pulls = append(i.Pulls, user)
	r.changed.Broadcast()
	return &criv1.PullImageResponse{ImageRef: i.ID}, nil
}

// find finds an image by any of its names.
func (r *Runtime) find(name string) *Image {
	for _, i := range r.images {
		if i.ID == name || slices.Contains(i.Tags, name) || slices.Contains(i.Digests, name) {
			return i
		}
	}
	return nil
}
