package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/images"
)

const (
	// agentDaemons is the user agent of the daemons that are played.
	agentDaemons = "played-daemons"
	// reportPace is how often a daemon writes its NodeImage, at most.
	reportPace = 2 * time.Second
)

// measurePulls has every simulated node pull many images at once, as on the day on which a fleet is prepared: a job for each
// image, all nodes at a time. The daemons are played here: an image takes them one report.
func (b *bench) measurePulls(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.patience, fmt.Errorf("gave up after %s (-patience)", b.patience))
	defer cancel()
	m, err := startManager(ctx, b.lab, "imagepulljob", b.profiles != "", "ImagePullJobGate=true")
	if err != nil {
		return "", err
	}
	b.lab.processes[processManager] = m.cmd.Process.Pid
	f, err := b.pull(ctx, m)
	if stopped := m.stop(); err == nil {
		err = stopped
	}
	if err != nil {
		return "", err
	}
	each := func(agent string, match func(request) bool) float64 {
		return float64(f.requests.sum(func(r request) bool { return r.agent == agent && match(r) }).all) / float64(b.simulated)
	}
	conflicts := f.requests.sum(func(r request) bool { return r.agent == processManager && r.write() }).conflicts
	return fmt.Sprintf("\n### %d nodes pull %d images ahead\n\n"+
		"| seconds | writes a node: manager | daemons, played | reads a node: manager | conflicts of the manager | processor seconds: manager | API server | most memory of the manager |\n"+
		"|---|---|---|---|---|---|---|---|\n| %.1f | %.2f | %.2f | %.2f | %d | %.1f | %.1f | %d MiB |\n",
		b.simulated, b.pulls, f.reported.Seconds(), each(processManager, request.write), each(agentDaemons, request.write), each(processManager, request.read),
		conflicts, f.own.Seconds(), f.cpu["kube-apiserver"].Seconds(), f.peak>>20), nil
}

// pull measures one round.
func (b *bench) pull(ctx context.Context, m *manager) (figures, error) {
	say("waiting for %d NodeImages", b.simulated)
	err := poll(ctx, func(ctx context.Context) (bool, error) {
		list := &v1beta1.NodeImageList{}
		err := b.lab.daemons.List(ctx, list)
		return len(list.Items) >= b.simulated, err
	})
	if err != nil {
		return figures{}, fmt.Errorf("waiting for NodeImages: %w", err)
	}
	if err := b.playDaemons(ctx); err != nil {
		return figures{}, err
	}
	say("%d nodes, %d images", b.simulated, b.pulls)
	return b.phase(ctx, phase{
		name: "pull", act: b.createJobs, reported: func(ctx context.Context) (bool, error) { return b.jobsDone(ctx) },
	}, &component{process: processManager, pid: m.cmd.Process.Pid, agents: []string{processManager}, manager: m}, 0, "pull")
}

// createJobs makes a job for each image.
func (b *bench) createJobs(ctx context.Context) error {
	for i := range b.pulls {
		job := &v1beta1.ImagePullJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("pull-%d", i)}}
		job.Spec.Image = fmt.Sprintf("registry.example/image-%d:v1", i)
		job.Spec.Parallelism = &intstr.IntOrString{IntVal: int32(b.simulated)} //nolint:gosec // a hundred thousand at most
		if err := b.lab.objects.Create(ctx, job); err != nil {
			return fmt.Errorf("creating a job: %w", err)
		}
	}
	return nil
}

// jobsDone says whether all jobs have pulled on all nodes.
func (b *bench) jobsDone(ctx context.Context) (bool, error) {
	list := &v1beta1.ImagePullJobList{}
	if err := b.lab.objects.List(ctx, list); err != nil {
		return false, err
	}
	for i := range list.Items {
		if s := &list.Items[i].Status; s.CompletionTime == nil || int(s.Succeeded) != b.simulated {
			return false, nil
		}
	}
	return len(list.Items) == b.pulls, nil
}

// playDaemons reports every image that a node is to pull as pulled, until the context ends.
func (b *bench) playDaemons(ctx context.Context) error {
	informer, err := b.lab.told.GetInformer(ctx, &v1beta1.NodeImage{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watching NodeImages: %w", err)
	}
	var mu sync.Mutex
	newest := map[string]*v1beta1.NodeImage{} // of nodes that are about to report
	report := func(name string) {
		mu.Lock()
		image := newest[name].DeepCopy()
		delete(newest, name)
		mu.Unlock()
		if err := b.reportPulled(ctx, image); err != nil && ctx.Err() == nil {
			say("the daemon of %s: %v", name, err)
		}
	}
	look := func(o any) {
		image, ok := o.(*v1beta1.NodeImage)
		if !ok || int(image.Status.Succeeded) == len(image.Spec.Images) {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if newest[image.Name] == nil {
			time.AfterFunc(reportPace, func() { report(image.Name) })
		}
		newest[image.Name] = image
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: look, UpdateFunc: func(_, now any) { look(now) }})
	if err != nil {
		return fmt.Errorf("watching NodeImages: %w", err)
	}
	go func() {
		if err := b.lab.told.Start(ctx); err != nil {
			say("watching NodeImages: %v", err)
		}
	}()
	return nil
}

// reportPulled writes that a node has all images that it was told to pull.
func (b *bench) reportPulled(ctx context.Context, image *v1beta1.NodeImage) error {
	before, now := image.DeepCopy(), metav1.Now()
	for name, spec := range image.Spec.Images {
		for _, task := range spec.Tags {
			images.SetStatus(&image.Status, name, v1beta1.ImageTagStatus{
				Tag: task.Tag, Version: task.Version, Phase: v1beta1.ImagePhaseSucceeded, CompletionTime: &now,
			})
		}
	}
	images.Count(&image.Status, &image.Spec)
	return b.lab.daemons.Status().Patch(ctx, image, client.MergeFrom(before))
}
