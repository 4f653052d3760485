package images

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
	crifake "kruise.io/kruise/daemon/cri/fake"
	agentfake "kruise.io/kruise/kit/agent/fake"
	"kruise.io/kruise/plan/images"
)

var errAway = errors.New("the API server is away")

// node is a node with a runtime, and the daemon on it.
type node struct {
	*testing.T
	api     client.Client
	runtime *crifake.Runtime
	options Options
	events  *events.FakeRecorder
	c       *Controller
	woken   chan struct{}
	stop    func()
	writes  int
	away    bool // the API server takes no status
	lost    bool // it does, and its answer is lost
}

func newNode(t *testing.T, change ...func(*Options)) *node {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	n := &node{T: t, runtime: crifake.New(t)}
	n.api = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1beta1.NodeImage{}).WithInterceptorFuncs(interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if n.away {
				return errAway
			}
			if err := c.SubResource(sub).Patch(ctx, o, p, opts...); err != nil || !n.lost {
				return err
			}
			return errAway
		},
	}).Build()
	runtimes := cri.NewNode([]string{n.runtime.Socket()}, cri.Options{ReconnectWithin: time.Millisecond})
	t.Cleanup(func() {
		if err := runtimes.Close(); err != nil {
			t.Error(err)
		}
	})
	n.options = Options{Node: "node-1", Runtimes: runtimes, Pause: time.Millisecond, Pace: time.Nanosecond}
	for _, c := range change {
		c(&n.options)
	}
	n.create(&v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: "node-1", UID: "uid"}})
	n.start()
	t.Cleanup(func() { n.stop() })
	return n
}

// start starts a daemon that knows nothing.
func (n *node) start() {
	n.events, n.woken = events.NewFakeRecorder(100), make(chan struct{}, 1)
	nodes := agentfake.Cache[*v1beta1.NodeImage]{Context: n.Context(), Client: n.api, New: func() *v1beta1.NodeImage { return &v1beta1.NodeImage{} }}
	n.c = newController(n.options, nodes, agentfake.API{Client: n.api}, n.events, clock.RealClock{})
	woken := n.woken
	n.c.puller.changed = func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(n.Context()))
	done, c := make(chan error), n.c
	go func() { done <- c.Start(ctx) }()
	n.stop = func() {
		cancel()
		if err := <-done; err != nil {
			n.Error(err)
		}
		n.stop = func() {}
	}
	<-woken // it lives
}

func (n *node) create(objects ...client.Object) {
	n.Helper()
	for _, o := range objects {
		if err := n.api.Create(n.Context(), o); err != nil {
			n.Fatal(err)
		}
	}
}

func (n *node) image() *v1beta1.NodeImage {
	n.Helper()
	image := &v1beta1.NodeImage{}
	if err := n.api.Get(n.Context(), types.NamespacedName{Name: "node-1"}, image); err != nil {
		n.Fatal(err)
	}
	return image
}

// tell changes the tasks of the node.
func (n *node) tell(change func(map[string]v1beta1.ImageSpec)) {
	n.Helper()
	image := n.image()
	if image.Spec.Images == nil {
		image.Spec.Images = map[string]v1beta1.ImageSpec{}
	}
	change(image.Spec.Images)
	if err := n.api.Update(n.Context(), image); err != nil {
		n.Fatal(err)
	}
}

// want tells the node to pull an image.
func (n *node) want(image string, change ...func(*v1beta1.ImageSpec)) {
	n.Helper()
	ref, err := images.Parse(image)
	if err != nil {
		n.Fatal(err)
	}
	n.tell(func(all map[string]v1beta1.ImageSpec) {
		spec := all[ref.Name]
		spec.Tags = append(spec.Tags, v1beta1.ImageTagSpec{
			Tag: ref.Tag, CreatedAt: &metav1.Time{Time: time.Now().Truncate(time.Second)},
			PullPolicy: &v1beta1.ImageTagPullPolicy{BackoffLimit: new(int32(2)), TimeoutSeconds: new(int32(600))},
			OwnerReferences: []corev1.ObjectReference{{
				APIVersion: "apps.kruise.io/v1beta1", Kind: "ImagePullJob", Namespace: "shop", Name: "job", UID: "job-uid"}},
		})
		for _, c := range change {
			c(&spec)
		}
		all[ref.Name] = spec
	})
}

// await reconciles, at first and whenever a pull has something to say, until the status is as wanted.
func (n *node) await(want string) {
	n.Helper()
	ctx, cancel := context.WithTimeout(n.Context(), 30*time.Second)
	defer cancel()
	for {
		n.reconcile()
		if n.says() == want {
			return
		}
		select {
		case <-n.woken:
		case <-ctx.Done():
			n.Fatalf("the status is\n%s\nand not\n%s", n.says(), want)
		}
	}
}

func (n *node) reconcile() {
	n.Helper()
	before := n.image().ResourceVersion
	if _, err := n.c.Take(n.Context(), types.NamespacedName{Name: "node-1"}); err != nil {
		n.Fatal(err)
	}
	if n.image().ResourceVersion != before {
		n.writes++
	}
}

// says is the status, a line for each task.
func (n *node) says() string {
	image := n.image()
	var lines []string
	for name, s := range image.Status.ImageStatuses {
		for _, tag := range s.Tags {
			line := fmt.Sprintf("%s v%d %s", images.Ref{Name: name, Tag: tag.Tag}, tag.Version, tag.Phase)
			if tag.ImageID != "" {
				line += " " + tag.ImageID
			}
			if tag.Phase == v1beta1.ImagePhaseFailed {
				line += ": " + tag.Message
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	s := image.Status
	return fmt.Sprintf("%d/%d/%d/%d/%d %s", s.Desired, s.Waiting, s.Pulling, s.Succeeded, s.Failed, strings.Join(lines, "; "))
}

// there puts images into the registry, or onto the node already.
func (n *node) there(remote bool, names ...string) {
	for _, name := range names {
		n.runtime.AddImage(crifake.Image{ID: "sha256:" + name, Tags: []string{"docker.io/library/" + name}, Remote: remote})
	}
}

func (n *node) pulls(name string) int { return len(n.runtime.Image("sha256:" + name).Pulls) }

// told are the events that were sent.
func (n *node) told() []string {
	var all []string
	for {
		select {
		case e := <-n.events.Events:
			all = append(all, e)
		default:
			return all
		}
	}
}

func TestAnImageIsPulledAndTheNodeSaysSo(t *testing.T) {
	n := newNode(t)
	n.there(true, "nginx:1")
	n.want("nginx:1", func(s *v1beta1.ImageSpec) {
		s.SandboxConfig = &v1beta1.SandboxConfig{Labels: map[string]string{"app": "web"}}
	})
	n.await("1/0/0/1/0 nginx:1 v0 Succeeded nginx@sha256:nginx:1")
	if n.pulls("nginx:1") != 1 {
		t.Errorf("it was pulled %d times", n.pulls("nginx:1"))
	}
	s := n.image().Status.ImageStatuses["nginx"].Tags[0]
	if s.Progress != 100 || s.StartTime == nil || s.CompletionTime == nil {
		t.Errorf("the status is %+v", s)
	}
	if told := n.told(); len(told) != 1 || !strings.HasPrefix(told[0], "Normal PullImageSucceed nginx:1") {
		t.Errorf("told is %q", told)
	}
	writes := n.writes
	n.reconcile()
	if n.writes != writes || writes > 3 || len(n.told()) > 0 {
		t.Errorf("%d writes, and then %d", writes, n.writes)
	}
}

func TestAnImageThatIsThereIsNotPulledUnlessTheRegistryIsToBeAsked(t *testing.T) {
	n := newNode(t)
	n.there(false, "nginx:1", "redis:7")
	n.want("nginx:1")
	n.want("redis:7", func(s *v1beta1.ImageSpec) { s.Tags[0].ImagePullPolicy = v1beta1.PullAlways })
	n.await("2/0/0/2/0 nginx:1 v0 Succeeded nginx@sha256:nginx:1; redis:7 v0 Succeeded redis@sha256:redis:7")
	if n.pulls("nginx:1") != 0 || n.pulls("redis:7") != 1 {
		t.Errorf("pulled are nginx %d times and redis %d times", n.pulls("nginx:1"), n.pulls("redis:7"))
	}
}

func TestAnImageByDigestIsAskedForByItsDigest(t *testing.T) {
	const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	n := newNode(t)
	n.runtime.AddImage(crifake.Image{ID: "sha256:id", Digests: []string{"registry.lan/web@" + digest}, Remote: true})
	n.want("registry.lan/web:1@" + digest)
	n.await("1/0/0/1/0 registry.lan/web@" + digest + " v0 Succeeded registry.lan/web@sha256:id")
}

func TestAnImageThatCannotBePulledFailsInWordsAfterItsAttempts(t *testing.T) {
	n := newNode(t)
	n.runtime.Break("PullImage", crifake.Fault{Times: 2, Code: codes.Unknown, Message: "a hiccup"})
	n.want("nothing:1")
	n.await(`1/0/0/0/1 nothing:1 v0 Failed: pulling image docker.io/library/nothing:1: the container runtime at ` + n.runtime.Socket() +
		`: rpc error: code = NotFound desc = no image "docker.io/library/nothing:1"`)
	told := n.told()
	if len(told) != 2 || !strings.HasPrefix(told[0], "Warning PullImageFailed nothing:1: pulling") || !strings.HasPrefix(told[1], "Warning PullImageFailed node node-1, nothing:1") {
		t.Errorf("told are %q", told)
	}
}

func TestAPullThatWorksAtTheLastAttemptWorks(t *testing.T) {
	n := newNode(t)
	n.there(true, "nginx:1")
	n.runtime.Break("PullImage", crifake.Fault{Times: 2, Code: codes.Unknown, Message: "a hiccup"})
	n.want("nginx:1")
	n.await("1/0/0/1/0 nginx:1 v0 Succeeded nginx@sha256:nginx:1")
}

func TestARuntimeThatIsAwayCostsNoAttempt(t *testing.T) {
	n := newNode(t)
	n.there(true, "nginx:1")
	n.runtime.Break("PullImage", crifake.Fault{Times: 7, Code: codes.Unavailable, Message: "restarting"})
	n.want("nginx:1", func(s *v1beta1.ImageSpec) { s.Tags[0].PullPolicy.BackoffLimit = new(int32(0)) })
	n.await("1/0/0/1/0 nginx:1 v0 Succeeded nginx@sha256:nginx:1")
}

func TestARegistryThatDoesNotAnswerCostsAttempts(t *testing.T) {
	for _, code := range []codes.Code{codes.DeadlineExceeded, codes.Canceled} {
		n := newNode(t)
		n.there(true, "nginx:1")
		n.runtime.Break("PullImage", crifake.Fault{Code: code, Message: "dial tcp: i/o timeout"})
		n.want("nginx:1")
		n.await(fmt.Sprintf("1/0/0/0/1 nginx:1 v0 Failed: pulling image docker.io/library/nginx:1: the container runtime at %s: "+
			"rpc error: code = %s desc = dial tcp: i/o timeout", n.runtime.Socket(), code))
	}
}

func TestWhileTheAPIServerIsAwayAPullGoesOnOnceAndIsToldAfterwards(t *testing.T) {
	n := newNode(t)
	n.there(true, "nginx:1")
	n.want("nginx:1")
	n.away = true
	for n.pulls("nginx:1") == 0 {
		_, err := n.c.Take(n.Context(), types.NamespacedName{Name: "node-1"})
		if err != nil && !errors.Is(err, errAway) {
			t.Fatal(err)
		}
	}
	for range 3 {
		if _, err := n.c.Take(n.Context(), types.NamespacedName{Name: "node-1"}); !errors.Is(err, errAway) {
			t.Errorf("it is not told again: %v", err)
		}
	}
	n.away = false
	n.await("1/0/0/1/0 nginx:1 v0 Succeeded nginx@sha256:nginx:1")
	if got := n.pulls("nginx:1"); got != 1 {
		t.Errorf("it was pulled %d times", got)
	}
}

func TestARuntimeThatIsRestartedIsWaitedFor(t *testing.T) {
	n := newNode(t)
	n.there(false, "before:1")
	n.there(true, "nginx:1")
	n.want("before:1")
	n.await("1/0/0/1/0 before:1 v0 Succeeded before@sha256:before:1")
	n.runtime.Down()
	n.want("nginx:1", func(s *v1beta1.ImageSpec) { s.Tags[0].PullPolicy.BackoffLimit = new(int32(0)) })
	n.await("2/0/1/1/0 before:1 v0 Succeeded before@sha256:before:1; nginx:1 v0 Pulling")
	n.runtime.Up()
	n.await("2/0/0/2/0 before:1 v0 Succeeded before@sha256:before:1; nginx:1 v0 Succeeded nginx@sha256:nginx:1")
}

func TestAnAttemptEndsWithItsTimeoutAndAllOfThemWithTheDeadline(t *testing.T) {
	n := newNode(t)
	n.there(true, "slow:1", "late:1")
	n.runtime.Break("PullImage", crifake.Fault{Hold: make(chan struct{})})
	n.want("slow:1", func(s *v1beta1.ImageSpec) {
		s.Tags[0].PullPolicy.TimeoutSeconds, s.Tags[0].PullPolicy.BackoffLimit = new(int32(0)), new(int32(0))
	})
	n.want("late:1", func(s *v1beta1.ImageSpec) { s.Tags[0].PullPolicy.ActiveDeadlineSeconds = new(int64(1)) })
	n.reconcile()
	for !strings.HasPrefix(n.says(), "2/0/0/0/2") {
		<-n.woken
		n.reconcile()
	}
	if says := n.says(); !strings.Contains(says, "late:1 v0 Failed: pulling exceeds the activeDeadlineSeconds;") || !strings.Contains(says, "slow:1 v0 Failed: pulling slow:1 timed out after 0s") {
		t.Errorf("the status is %s", says)
	}
}

func TestNoMorePullsRunThanTheNodeAllows(t *testing.T) {
	n := newNode(t, func(o *Options) { o.Workers = 1 })
	n.there(true, "a:1", "b:1", "c:1")
	hold := make(chan struct{})
	n.runtime.Break("PullImage", crifake.Fault{Hold: hold})
	n.want("a:1")
	n.await("1/0/1/0/0 a:1 v0 Pulling")
	n.want("b:1")
	n.want("c:1")
	n.await("3/2/1/0/0 a:1 v0 Pulling; b:1 v0 Waiting; c:1 v0 Waiting")
	close(hold)
	n.await("3/0/0/3/0 a:1 v0 Succeeded a@sha256:a:1; b:1 v0 Succeeded b@sha256:b:1; c:1 v0 Succeeded c@sha256:c:1")
}

func TestATaskThatIsTakenBackIsStopped(t *testing.T) {
	n := newNode(t)
	n.there(true, "nginx:1")
	n.runtime.Break("PullImage", crifake.Fault{Hold: make(chan struct{})})
	n.want("nginx:1")
	n.await("1/0/1/0/0 nginx:1 v0 Pulling")
	pulling := n.c.pulls[images.Ref{Name: "nginx", Tag: "1"}]
	n.tell(func(all map[string]v1beta1.ImageSpec) { delete(all, "nginx") })
	n.await("0/0/0/0/0 ")
	<-pulling.done
}

func TestAnotherRoundIsPulledAnew(t *testing.T) {
	n := newNode(t)
	n.there(true, "nginx:1")
	n.want("nginx:1")
	n.await("1/0/0/1/0 nginx:1 v0 Succeeded nginx@sha256:nginx:1")
	n.tell(func(all map[string]v1beta1.ImageSpec) {
		all["nginx"].Tags[0].Version, all["nginx"].Tags[0].ImagePullPolicy = 1, v1beta1.PullAlways
	})
	n.await("1/0/0/1/0 nginx:1 v1 Succeeded nginx@sha256:nginx:1")
	if n.pulls("nginx:1") != 2 {
		t.Errorf("it was pulled %d times", n.pulls("nginx:1"))
	}
}

func TestLimitsThatChangeHoldFromTheNextAttemptOn(t *testing.T) {
	n := newNode(t)
	n.runtime.Break("PullImage", crifake.Fault{Code: codes.Unavailable, Message: "busy"}) // it costs nothing, so it would go on for good
	n.want("nginx:1")
	n.await("1/0/1/0/0 nginx:1 v0 Pulling")
	n.tell(func(all map[string]v1beta1.ImageSpec) {
		all["nginx"].Tags[0].PullPolicy.ActiveDeadlineSeconds = new(int64(0))
	})
	n.await("1/0/0/0/1 nginx:1 v0 Failed: pulling exceeds the activeDeadlineSeconds")
}

func TestADaemonThatIsRestartedGoesOn(t *testing.T) {
	n := newNode(t)
	n.there(true, "nginx:1", "redis:7")
	hold := make(chan struct{})
	n.want("nginx:1")
	n.await("1/0/0/1/0 nginx:1 v0 Succeeded nginx@sha256:nginx:1")
	n.runtime.Break("PullImage", crifake.Fault{Hold: hold})
	n.want("redis:7")
	n.await("2/0/1/1/0 nginx:1 v0 Succeeded nginx@sha256:nginx:1; redis:7 v0 Pulling")
	n.stop()
	close(hold)
	n.start()
	n.await("2/0/0/2/0 nginx:1 v0 Succeeded nginx@sha256:nginx:1; redis:7 v0 Succeeded redis@sha256:redis:7")
	if n.pulls("nginx:1") != 1 {
		t.Errorf("what was through is pulled again: %d times", n.pulls("nginx:1"))
	}
}

func dockerConfig(name string, auths map[string]string) *corev1.Secret {
	var parts []string
	for host, user := range auths {
		parts = append(parts, fmt.Sprintf(`%q:{"auth":%q}`, host, base64.StdEncoding.EncodeToString([]byte(user+":secret"))))
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kruise-daemon-config", Name: name},
		Data:       map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{` + strings.Join(parts, ",") + `}}`)},
	}
}

func TestCredentialsAreTriedInTurnAndNobodysAtLast(t *testing.T) {
	n := newNode(t)
	n.there(true, "web:1")
	n.create(dockerConfig("both", map[string]string{"docker.io/library": "near", "docker.io": "far", "quay.io": "other"}))
	n.runtime.Break("PullImage", crifake.Fault{Times: 2, Code: codes.Unauthenticated, Message: "no"})
	n.want("web:1", func(s *v1beta1.ImageSpec) {
		for _, name := range []string{"absent", "both"} {
			s.PullSecrets = append(s.PullSecrets, v1beta1.ReferenceObject{Namespace: "kruise-daemon-config", Name: name, Mode: "batch"})
		}
	})
	n.await("1/0/0/1/0 web:1 v0 Succeeded web@sha256:web:1")
	if got := n.runtime.Image("sha256:web:1").Pulls; !slices.Equal(got, []string{""}) {
		t.Errorf("it was pulled by %q", got)
	}
	n.runtime.Break("PullImage", crifake.Fault{Times: 1, Code: codes.Unauthenticated, Message: "no"})
	n.tell(func(all map[string]v1beta1.ImageSpec) {
		all["web"].Tags[0].Version, all["web"].Tags[0].ImagePullPolicy = 1, v1beta1.PullAlways
	})
	n.await("1/0/0/1/0 web:1 v1 Succeeded web@sha256:web:1")
	if got := n.runtime.Image("sha256:web:1").Pulls; !slices.Equal(got, []string{"", "far"}) {
		t.Errorf("the second time it was pulled by %q", got)
	}
}

func TestAPrivateImageIsPulledByThoseWhoHaveItsSecret(t *testing.T) {
	n := newNode(t)
	n.runtime.AddImage(crifake.Image{ID: "sha256:web", Tags: []string{"docker.io/library/web:1"}, Remote: true, Users: []string{"owner"}})
	for _, user := range []string{"owner", "guest"} {
		n.create(dockerConfig(user, map[string]string{"https://index.docker.io/v1/": user}))
	}
	for version, secrets := range [][]string{{}, {"guest"}, {"guest", "owner"}} {
		n.want("web:1", func(s *v1beta1.ImageSpec) {
			s.PullSecrets, s.Tags = nil, s.Tags[len(s.Tags)-1:]
			s.Tags[0].Version, s.Tags[0].PullPolicy.BackoffLimit = int64(version), new(int32(0))
			for _, name := range secrets {
				s.PullSecrets = append(s.PullSecrets, v1beta1.ReferenceObject{Namespace: "kruise-daemon-config", Name: name})
			}
		})
		if version < 2 {
			n.await(fmt.Sprintf("1/0/0/0/1 web:1 v%d Failed: pulling image docker.io/library/web:1: the container runtime at %s: "+
				`rpc error: code = Unknown desc = image "docker.io/library/web:1": unexpected status 401 Unauthorized`, version, n.runtime.Socket()))
			continue
		}
		n.await("1/0/0/1/0 web:1 v2 Succeeded web@sha256:web")
	}
	if got := n.runtime.Image("sha256:web").Pulls; !slices.Equal(got, []string{"owner"}) {
		t.Errorf("it was pulled by %q", got)
	}
}

func TestForWhichImagesCredentialsAre(t *testing.T) {
	for pattern, image := range map[string]string{
		"docker.io": "docker.io/library/nginx:1", "https://index.docker.io/v1/": "docker.io/library/nginx:1", "registry.lan:5000": "registry.lan:5000/web",
		"registry.lan/shop": "registry.lan/shop/web:1", "registry.lan/shop/web": "registry.lan/shop/web:1", "*.lan": "registry.lan/web", "*.*.lan": "a.b.lan/web",
		"registry.lan/": "registry.lan/web", "http://registry.lan/v2/": "registry.lan/web@sha256:1",
	} {
		if !matches(pattern, image) {
			t.Errorf("%s is not for %s", pattern, image)
		}
	}
	for pattern, image := range map[string]string{
		"quay.io": "docker.io/library/nginx:1", "registry.lan": "registry.lan:5000/web", "registry.lan/shop": "registry.lan/shopping/web:1",
		"*.lan": "a.b.lan/web", "lan": "registry.lan/web", "[": "a/b",
	} {
		if matches(pattern, image) {
			t.Errorf("%s is for %s", pattern, image)
		}
	}
}

func TestASecretIsReadInItsOldFormAndABadOneIsNotShown(t *testing.T) {
	old := &corev1.Secret{Data: map[string][]byte{corev1.DockerConfigKey: []byte(`{"quay.io":{"username":"u","password":"p"}}`)}}
	auths, err := parse(old)
	if err != nil || auths["quay.io"].Username != "u" || auths["quay.io"].Password != "p" {
		t.Errorf("got %v and the error %v", auths, err)
	}
	for _, text := range []string{`{"auths":{"a":{"auth":"hunter2!"}}}`, `hunter2`, ``} {
		_, err := parse(&corev1.Secret{Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(text)}})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error is %v", text, err)
		}
	}
}

func TestALongMessageIsCutAndWrittenOnce(t *testing.T) {
	n := newNode(t)
	n.runtime.Break("PullImage", crifake.Fault{Code: codes.Unknown, Message: strings.Repeat("ü", 3*longestMessage)})
	n.want("nginx:1")
	n.reconcile()
	for !strings.HasPrefix(n.says(), "1/0/0/0/1") {
		<-n.woken
		n.reconcile()
	}
	message := n.image().Status.ImageStatuses["nginx"].Tags[0].Message
	if len(message) > longestMessage || !utf8.ValidString(message) {
		t.Errorf("it has %d bytes", len(message))
	}
	writes := n.writes
	if n.reconcile(); n.writes != writes {
		t.Error("it is written again")
	}
}
