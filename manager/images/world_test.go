package images

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/plan/images"
)

// world is a cluster in memory whose nodes pull as they are told: works on jobs and NodeImages and steps of nodes happen in
// any order. Its caches show everything at once; that nobody decides before they do is kit/loop's business.
type world struct {
	tb     rapid.TB
	api    client.Client
	now    time.Time
	c      *Controllers
	stores map[string]toolscache.Indexer
	// dead nodes do nothing.
	dead map[string]bool
	// began are the nodes on which a job began and did not end, by job.
	began map[string]map[string]bool
	uids  int
}

func newWorld(tb rapid.TB, nodes int) *world {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			tb.Fatal(err)
		}
	}
	w := &world{
		tb: tb, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), dead: map[string]bool{}, began: map[string]map[string]bool{},
		api: fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1beta1.NodeImage{}, &v1beta1.ImagePullJob{}).Build(),
		stores: map[string]toolscache.Indexer{
			kindNodeImage: toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{byJob.Name: byJob.Func()}),
			kindJob:       toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{bySecret.Name: bySecret.Func(), byPods.Name: byPods.Func()}),
			"Pod":         toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, index.Indexers()),
		},
	}
	w.restart()
	for i := range nodes {
		w.addNode(fmt.Sprintf("node-%d", i))
	}
	return w
}

// restart has another manager take over, which knows nothing but what is written.
func (w *world) restart() {
	w.c = &Controllers{
		options: Options{Enabled: true, Keep: images.DefaultKeep, ConfigNamespace: DefaultConfigNamespace},
		client:  w.api, recorder: events.NewFakeRecorder(10_000),
		nodeImages: index.Over[*v1beta1.NodeImage](w.stores[kindNodeImage]), jobStore: index.Over[*v1beta1.ImagePullJob](w.stores[kindJob]),
		pods: index.Over[*corev1.Pod](w.stores["Pod"]), nodeWrites: seen.New(nil), jobWrites: seen.New(nil),
	}
	w.c.secrets = &secrets{Controllers: w.c, known: map[types.NamespacedName]copyState{}, names: map[types.NamespacedName]string{}}
}

func (w *world) check(err error) {
	if err != nil {
		w.tb.Fatal(err)
	}
}

// sync has the caches show an object as it is stored.
func (w *world) sync(kind string, object client.Object) {
	err := w.api.Get(context.Background(), client.ObjectKeyFromObject(object), object)
	if client.IgnoreNotFound(err) != nil {
		w.tb.Fatal(err)
	}
	if err != nil {
		w.check(w.stores[kind].Delete(object))
		return
	}
	w.check(w.stores[kind].Update(object))
}

func (w *world) addNode(name string) {
	image := &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{"name": name}}}
	w.check(w.api.Create(context.Background(), image))
	w.sync(kindNodeImage, image)
}

func (w *world) removeNode(name string) {
	image := &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: name}}
	w.check(client.IgnoreNotFound(w.api.Delete(context.Background(), image)))
	w.check(w.stores[kindNodeImage].Delete(image))
	w.c.board.ForgetNode(name)
	for _, nodes := range w.began {
		delete(nodes, name)
	}
}

func (w *world) addJob(image string, parallelism int32, change ...func(*v1beta1.ImagePullJob)) string {
	w.uids++
	job := &v1beta1.ImagePullJob{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: fmt.Sprintf("job-%d", w.uids), UID: types.UID(fmt.Sprintf("uid-%d", w.uids)), CreationTimestamp: metav1.NewTime(w.now),
	}}
	job.Spec.Image, job.Spec.Parallelism = image, ptr.To(intstr.FromInt32(parallelism))
	job.Spec.PullPolicy = &v1beta1.PullPolicy{TimeoutSeconds: ptr.To[int32](60), BackoffLimit: ptr.To[int32](0)}
	for _, c := range change {
		c(job)
	}
	w.check(w.api.Create(context.Background(), job))
	w.sync(kindJob, job)
	return job.Name
}

func (w *world) job(name string) *v1beta1.ImagePullJob {
	job, ok := w.c.jobStore.Get(types.NamespacedName{Namespace: "shop", Name: name})
	if !ok {
		return nil
	}
	return job
}

func (w *world) jobs() []string {
	var names []string
	for _, job := range w.c.jobStore.All() {
		names = append(names, job.Name)
	}
	slices.Sort(names)
	return names
}

func (w *world) nodes() []string {
	var names []string
	for _, image := range w.c.nodeImages.All() {
		names = append(names, image.Name)
	}
	slices.Sort(names)
	return names
}

// workOnJob is one reconcile of a job.
func (w *world) workOnJob(name string) {
	job := w.job(name)
	if job == nil {
		return
	}
	ctx := context.Background()
	work := &jobWork{Controllers: w.c, job: job.DeepCopy()}
	w.check(work.Observe(ctx))
	w.check(work.Decide(w.now))
	w.check(work.Act(ctx))
	if report := work.Report(w.now, nil); report.Object != nil {
		if after := report.Object.DeepCopy(); !equality.Semantic.DeepEqual(job.Status, after.Status) {
			w.check(w.api.Status().Patch(ctx, after, client.MergeFrom(job)))
		}
	}
	w.sync(kindJob, &v1beta1.ImagePullJob{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}})
}

// workOnNode is one reconcile of a NodeImage. It keeps account of where jobs begin.
func (w *world) workOnNode(name string) {
	image, ok := w.c.nodeImages.Get(types.NamespacedName{Name: name})
	if !ok {
		return
	}
	ctx := context.Background()
	before := images.Jobs(image)
	work := &nodeWork{Controllers: w.c, image: image.DeepCopy()}
	w.check(work.Observe(ctx))
	w.check(work.Decide(w.now))
	w.check(work.Act(ctx))
	after := &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: name}}
	w.sync(kindNodeImage, after)
	for _, uid := range images.Jobs(after) {
		if !slices.Contains(before, uid) {
			if w.began[string(uid)] == nil {
				w.began[string(uid)] = map[string]bool{}
			}
			w.began[string(uid)][name] = true
		}
	}
	w.account(after)
}

// account notes where the rounds of jobs ended.
func (w *world) account(image *v1beta1.NodeImage) {
	for uid, nodes := range w.began {
		active := false
		for name, spec := range image.Spec.Images {
			for i := range spec.Tags {
				active = active || images.StateOf(image, images.Ref{Name: name, Tag: spec.Tags[i].Tag}, types.UID(uid)) == images.Active
			}
		}
		if !active {
			delete(nodes, image.Name)
		}
	}
}

// pull lets a node take a step: what waits begins, what was begun ends. Images named bad cannot be pulled.
func (w *world) pull(name string) {
	cached, ok := w.c.nodeImages.Get(types.NamespacedName{Name: name})
	if !ok || w.dead[name] {
		return
	}
	image := cached.DeepCopy()
	status := v1beta1.NodeImageStatus{ImageStatuses: map[string]v1beta1.ImageStatus{}}
	at := &metav1.Time{Time: w.now}
	for name, spec := range image.Spec.Images {
		for _, task := range spec.Tags {
			tag := v1beta1.ImageTagStatus{Tag: task.Tag, Version: task.Version, Phase: v1beta1.ImagePhasePulling, StartTime: at}
			for _, had := range image.Status.ImageStatuses[name].Tags {
				if had.Tag == task.Tag && had.Version == task.Version {
					tag = had
					if tag.CompletionTime == nil {
						tag.CompletionTime, tag.Phase = at, v1beta1.ImagePhaseSucceeded
						if name == "bad" {
							tag.Phase = v1beta1.ImagePhaseFailed
						}
					}
				}
			}
			images.SetStatus(&status, name, tag)
		}
	}
	images.Count(&status, &image.Spec)
	if equality.Semantic.DeepEqual(image.Status, status) {
		return
	}
	before := image.DeepCopy()
	image.Status = status
	w.check(w.api.Status().Patch(context.Background(), image, client.MergeFrom(before)))
	w.sync(kindNodeImage, image)
	w.account(image)
}

// settle lets everybody work, a second for each round, until all jobs that can are over.
func (w *world) settle(rounds int, done func() bool) {
	for range rounds {
		if done() {
			return
		}
		for _, name := range w.jobs() {
			w.workOnJob(name)
		}
		for _, name := range w.nodes() {
			w.workOnNode(name)
			w.pull(name)
			w.workOnNode(name)
		}
		w.now = w.now.Add(time.Second)
		w.checkParallelism()
	}
	for _, name := range w.jobs() {
		w.tb.Logf("%s: %+v", name, w.job(name).Status)
	}
	w.tb.Fatalf("no end after %d rounds", rounds)
}

// checkParallelism checks that no job works on more nodes than it may.
func (w *world) checkParallelism() {
	for _, name := range w.jobs() {
		job := w.job(name)
		most := int(job.Spec.Parallelism.IntVal)
		if began := w.began[string(job.UID)]; len(began) > most {
			w.tb.Fatalf("%s works on %d nodes, %d are allowed: %v", name, len(began), most, began)
		}
	}
}

func (w *world) allOver() bool {
	for _, name := range w.jobs() {
		job := w.job(name)
		through := job.Status.CompletionTime != nil
		if job.Spec.CompletionPolicy.Type == v1beta1.NeverCompletion {
			through = job.Status.Desired == int32(len(w.nodes())) && job.Status.Desired == job.Status.Succeeded+job.Status.Failed
		}
		if !through {
			return false
		}
	}
	return true
}

// Whatever jobs and nodes come and go, whatever the order in which everybody works, and whoever takes over: no job works on
// more nodes than it may, every job ends once the world is fair, and ends as if it were alone.
func TestJobsEndAndDoNotDisturbEachOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.IntRange(1, 4).Draw(t, "nodes"))
		next := 100
		happen := map[string]func(){
			"job": func() {
				if len(w.jobs()) >= 4 {
					return
				}
				image := rapid.SampledFrom([]string{"nginx", "nginx:1", "redis", "bad"}).Draw(t, "image")
				never, ask := rapid.Bool().Draw(t, "never"), rapid.Bool().Draw(t, "ask")
				w.addJob(image, rapid.Int32Range(1, 4).Draw(t, "parallelism"), func(j *v1beta1.ImagePullJob) {
					if never {
						j.Spec.CompletionPolicy.Type = v1beta1.NeverCompletion
					}
					if ask {
						j.Spec.ImagePullPolicy = v1beta1.PullAlways
					}
				})
			},
			"node": func() {
				if next++; len(w.nodes()) < 6 {
					w.addNode(fmt.Sprintf("node-%d", next))
				}
			},
			"lose":    func() { w.removeNode(rapid.SampledFrom(append(w.nodes(), "none")).Draw(t, "lost")) },
			"restart": w.restart,
			"second":  func() { w.now = w.now.Add(time.Second) },
			"work": func() {
				w.workOnJob(rapid.SampledFrom(append(w.jobs(), "none")).Draw(t, "job"))
			},
			"tell": func() { w.workOnNode(rapid.SampledFrom(append(w.nodes(), "none")).Draw(t, "told")) },
			"pull": func() { w.pull(rapid.SampledFrom(append(w.nodes(), "none")).Draw(t, "pulls")) },
		}
		names := []string{"job", "job", "node", "lose", "restart", "second", "work", "work", "work", "tell", "tell", "tell", "tell", "pull", "pull", "pull"}
		for range rapid.IntRange(0, 30).Draw(t, "events") {
			happen[rapid.SampledFrom(names).Draw(t, "event")]()
			w.checkParallelism()
		}
		if len(w.nodes()) == 0 {
			w.addNode("last")
		}
		w.settle(300, w.allOver)
		for _, name := range w.jobs() {
			s := w.job(name).Status
			if good := w.job(name).Spec.Image != "bad"; good && s.Failed > 0 || !good && s.Succeeded > 0 {
				t.Fatalf("%s of %s ended as %+v", name, w.job(name).Spec.Image, s)
			}
		}
	})
}

func TestAJobEndsThoughANodeNeverAnswers(t *testing.T) {
	w := newWorld(t, 3)
	w.dead["node-1"] = true
	name := w.addJob("nginx", 3)
	w.settle(1000, w.allOver)
	s := w.job(name).Status
	if s.Succeeded != 2 || s.Failed != 1 || !slices.Equal(s.FailedNodes, []string{"node-1"}) || s.Message != "job has completed" {
		t.Errorf("it ended as %+v", s)
	}
}

func TestANodeThatLeavesTheSelectionStopsPulling(t *testing.T) {
	w := newWorld(t, 2)
	w.addJob("nginx", 2, func(j *v1beta1.ImagePullJob) {
		j.Spec.Selector = &v1beta1.ImagePullJobNodeSelector{LabelSelector: metav1.LabelSelector{MatchLabels: map[string]string{"name": "node-0"}}}
	})
	w.workOnJob("job-1")
	w.workOnNode("node-0")
	image := &v1beta1.NodeImage{}
	w.check(w.api.Get(t.Context(), types.NamespacedName{Name: "node-0"}, image))
	if len(image.Spec.Images) != 1 {
		t.Fatalf("the node is told %v", image.Spec.Images)
	}
	image.Labels = map[string]string{"name": "another"}
	w.check(w.api.Update(t.Context(), image))
	w.sync(kindNodeImage, image)
	w.workOnJob("job-1")
	w.workOnNode("node-0")
	w.check(w.api.Get(t.Context(), types.NamespacedName{Name: "node-0"}, image))
	if len(image.Spec.Images) != 0 {
		t.Errorf("the node is still told %v", image.Spec.Images)
	}
	image.Labels = map[string]string{"name": "node-0"}
	w.check(w.api.Update(t.Context(), image))
	w.sync(kindNodeImage, image)
	w.settle(20, w.allOver)
	if s := w.job("job-1").Status; s.Desired != 1 || s.Succeeded != 1 {
		t.Errorf("it ended as %+v", s)
	}
}

func TestAJobThatNeverEndsServesNodesThatComeLaterAndPullsAgainAfterADay(t *testing.T) {
	w := newWorld(t, 1)
	w.addJob("nginx", 1, func(j *v1beta1.ImagePullJob) { j.Spec.CompletionPolicy.Type = v1beta1.NeverCompletion })
	w.settle(20, w.allOver)
	w.addNode("later")
	w.settle(20, w.allOver)
	w.now = w.now.Add(25 * time.Hour)
	w.workOnNode("later")
	w.workOnJob("job-1")
	if s := w.job("job-1").Status; s.Active != 1 {
		t.Errorf("after a day: %+v", s)
	}
	w.settle(20, w.allOver)
}

func TestAnotherRoundOfAnotherJobChangesNothingForAJobThatGoesOn(t *testing.T) {
	w := newWorld(t, 2)
	w.addJob("nginx", 1)
	w.workOnJob("job-1")
	for range 2 {
		w.workOnNode("node-0")
		w.pull("node-0")
	}
	w.workOnNode("node-0") // it is through on the first node
	w.addJob("nginx", 2)
	w.workOnJob("job-2")
	w.workOnNode("node-0")
	w.workOnJob("job-1")
	if s := w.job("job-1").Status; s.Succeeded != 1 || s.Active != 1 {
		t.Errorf("the first job is at %+v", s)
	}
	w.settle(20, w.allOver)
}

func TestAMachineThatTakesTheNameOfAnotherOverIsServed(t *testing.T) {
	w := newWorld(t, 2)
	w.dead["node-1"] = true
	w.addJob("nginx", 2)
	for range 3 {
		w.workOnJob("job-1")
		w.workOnNode("node-0")
		w.pull("node-0")
	}
	if s := w.job("job-1").Status; s.Succeeded != 1 {
		t.Fatalf("at first: %+v", s)
	}
	w.removeNode("node-0")
	w.addNode("node-0")
	w.workOnJob("job-1")
	if s := w.job("job-1").Status; s.Succeeded != 0 || s.Active != 2 {
		t.Errorf("with another machine: %+v", s)
	}
}

func TestAnOutcomeIsNewsOnce(t *testing.T) {
	b := &Board{}
	ref := images.Ref{Name: "nginx", Tag: "latest"}
	said := []images.Outcome{{Job: "a", Ref: ref, State: images.Succeeded}}
	if news := b.Note("node-0", said); !slices.Equal(news, []types.UID{"a"}) {
		t.Errorf("at first it is news for %v", news)
	}
	if news := b.Note("node-0", said); len(news) > 0 {
		t.Errorf("then it is news for %v", news)
	}
	b.Reopen("a", []string{"node-0"})
	if news := b.Note("node-0", said); len(news) != 1 {
		t.Error("on a node where the job goes on it is no news")
	}
	said[0].Ref.Tag = "other"
	if news := b.Note("node-0", said); len(news) != 1 {
		t.Error("of another image it is no news")
	}
	if view := b.View("a", ref, []string{"node-0"}); len(view) > 0 {
		t.Errorf("of the earlier image it still says %v", view)
	}
}

func TestWhoTakesANameOverKnowsNothingOfWhoHadIt(t *testing.T) {
	b := &Board{}
	key := types.NamespacedName{Namespace: "shop", Name: "job"}
	b.Is(key, "a")
	b.Want("a", key, []string{"node-0"})
	b.Leave("a", func(string) bool { return false }, []string{"node-1"})
	b.Is(key, "b")
	if len(b.Wanted("node-0")) > 0 || b.Left("node-1", "a") {
		t.Error("what the job before it wanted is still there")
	}
}
