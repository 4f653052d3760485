package differential

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/cloneset"
	"kruise.io/kruise/test/builder"
	"kruise.io/kruise/test/integration/stepped"
)

// web is the name of both workloads, and their selector.
const web = "web"

// How many cases there are unless flags say otherwise, and how long the Deployment may take for one thing.
const (
	cases  = 8
	giveUp = time.Minute
)

func TestDeploymentsAndCloneSetsComeToTheSameEnd(t *testing.T) {
	server.RunControllers(t, "deployment-controller", "replicaset-controller")
	for _, seed := range seeds(t) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			s := scripts().Example(seed)
			t.Logf("script:\n%s", s)
			newPair(t, s.spec).play(s.edits)
		})
	}
}

func TestDeploymentsAndCloneSetsSayTheSameOfARolloutThatStandsStill(t *testing.T) {
	server.RunControllers(t, "deployment-controller", "replicaset-controller")
	begin := spec{replicas: 3, look: look{image: "a:1", env: "1", track: "stable"}, deadline: new(int32(1)), history: 2}
	begin.maxUnavailable, begin.maxSurge = intstr.FromInt32(1), intstr.FromInt32(0)
	p := newPair(t, begin)
	image := func(image string, paused bool) edit {
		return edit{change: func(s *spec) {
			s.paused = paused
			s.wear(func(l *look) { l.image = image })
		}}
	}
	p.await(complete)
	p.edit(image("a:2", true))
	p.await(paused)
	p.edit(image("a:2", false))
	p.await(complete)
	p.edit(image(brokenImage, false))
	p.await(late)
	p.edit(image("a:2", false))
	p.await(complete)
}

// seeds are the seeds of the cases, as rapid's own flags say.
func seeds(t *testing.T) []int {
	t.Helper()
	first, n := 1, cases
	number := func(f *flag.Flag) int {
		n, err := strconv.Atoi(f.Value.String())
		if err != nil {
			t.Fatalf("-%s %s: %v", f.Name, f.Value, err)
		}
		return n
	}
	flag.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "rapid.checks":
			n = number(f)
		case "rapid.seed":
			first = number(f)
		}
	})
	var out []int
	for i := range n {
		out = append(out, first+i)
	}
	return out
}

// pair is a Deployment and a CloneSet that are told the same.
type pair struct {
	*stepped.World
	key  types.NamespacedName
	spec spec
	// asked is how many pods the Deployment asked its ReplicaSets for when last looked at.
	asked int
	// unseen is true once the template was changed while paused: only a CloneSet makes a revision of it then.
	unseen bool
}

func newPair(t *testing.T, s spec) *pair {
	t.Helper()
	p := &pair{spec: s, World: stepped.New(t, server, cloneset.Options{}.NewReconciler,
		&v1beta1.CloneSetList{}, &corev1.PodList{}, &corev1.PersistentVolumeClaimList{}, &appsv1.ControllerRevisionList{})}
	p.key = types.NamespacedName{Namespace: p.Namespace, Name: web}
	p.BrokenImages[brokenImage] = true
	// The Deployment's clock is ahead of ours, so that what is ready here has been so for long there.
	p.Clock.SetTime(time.Now().Add(-time.Hour))
	set := builder.CloneSet(web).Namespace(p.Namespace).Object()
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: web}}
	deployment.Spec.Selector = set.Spec.Selector
	s.intoCloneSet(set)
	s.intoDeployment(deployment)
	for _, object := range []client.Object{set, deployment} {
		if err := p.API.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	p.awaitObserved()
	p.awaitRevision()
	return p
}

func (s spec) intoCloneSet(set *v1beta1.CloneSet) {
	set.Spec.Replicas, set.Spec.Template = &s.replicas, s.template()
	set.Spec.MinReadySeconds, set.Spec.ProgressDeadlineSeconds, set.Spec.RevisionHistoryLimit = s.minReady, s.deadline, &s.history
	set.Spec.UpdateStrategy = v1beta1.CloneSetUpdateStrategy{
		Type: v1beta1.RollingUpdateCloneSetUpdateStrategyType,
		RollingUpdate: &v1beta1.RollingUpdateCloneSetStrategy{
			PodUpdatePolicy: v1beta1.RecreatePodUpdatePolicyType, Paused: s.paused, MaxUnavailable: &s.maxUnavailable, MaxSurge: &s.maxSurge,
		},
	}
}

func (s spec) intoDeployment(d *appsv1.Deployment) {
	d.Spec.Replicas, d.Spec.Template, d.Spec.Paused = &s.replicas, s.template(), s.paused
	d.Spec.MinReadySeconds, d.Spec.ProgressDeadlineSeconds, d.Spec.RevisionHistoryLimit = s.minReady, s.deadline, &s.history
	d.Spec.Strategy = appsv1.DeploymentStrategy{
		Type:          appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &s.maxUnavailable, MaxSurge: &s.maxSurge},
	}
}

// play makes the edits, lets both come to their end, and compares.
func (p *pair) play(edits []edit) {
	p.Helper()
	for _, e := range append(edits, settled()) {
		p.edit(e)
		for range e.turns {
			p.turn()
		}
	}
	p.await(complete)
}

// await gives turns until the condition of both says a word. Where it says that they are complete, they must be the same.
func (p *pair) await(word progress) {
	p.Helper()
	var ofDeployment, ofSet outcome
	var diff string
	err := wait.PollUntilContextTimeout(p.Context(), 10*time.Millisecond, giveUp, true, func(context.Context) (bool, error) {
		moved := p.turn()
		ofDeployment, ofSet = p.deploymentOutcome(), p.setOutcome()
		if word != complete {
			return ofDeployment.Progress == word && ofSet.Progress == word, nil
		}
		if p.unseen {
			ofDeployment.History, ofSet.History = p.latest(ofDeployment.History), p.latest(ofSet.History)
		}
		diff = gocmp.Diff(ofDeployment, ofSet, gocmp.AllowUnexported(look{}))
		return !moved && ofDeployment.complete(p.spec) && ofSet.complete(p.spec) && diff == "", nil
	})
	if err != nil {
		p.Fatalf("both were to say that %s, and to be the same when that is so: %v (-Deployment +CloneSet):\n%s\nDeployment: %+v", word, err, diff, ofDeployment)
	}
}

// latest checks that no more looks are kept than the history has room for, and keeps the latest of them.
func (p *pair) latest(history []look) []look {
	p.Helper()
	if most := int(p.spec.history) + 1; len(history) > most {
		return history
	}
	return history[max(len(history)-1, 0):]
}

// edit makes one edit of both workloads.
func (p *pair) edit(e edit) {
	p.Helper()
	before := p.spec.most()
	if e.change != nil {
		old := p.spec.look
		e.change(&p.spec)
		p.unseen = p.unseen || p.spec.paused && p.spec.look != old
		set, deployment := &v1beta1.CloneSet{}, &appsv1.Deployment{}
		p.Get(web, set)
		changed := set.DeepCopy()
		p.spec.intoCloneSet(changed)
		p.patch(set, changed)
		p.Get(web, deployment)
		spec := deployment.DeepCopy()
		p.spec.intoDeployment(spec)
		p.patch(deployment, spec)
	}
	for _, kind := range []string{"CloneSet", "ReplicaSet"} {
		if pods := p.podsOf(kind); e.deletes > 0 && len(pods) > 0 {
			victim := pods[(e.deletes-1)%len(pods)]
			if err := p.API.Delete(p.Context(), &victim); client.IgnoreNotFound(err) != nil {
				p.Fatal(err)
			}
		}
	}
	p.awaitObserved()
	if e.change != nil {
		p.awaitRevision()
	}
	// Until it saw the edit the Deployment went on as it had been told before.
	p.asked = max(p.asked, before)
	p.checkAsked()
}

func (p *pair) patch(before, after client.Object) {
	p.Helper()
	if err := p.API.Patch(p.Context(), after, client.MergeFrom(before)); err != nil {
		p.Fatalf("edit the %T: %v", after, err)
	}
}

// awaitObserved waits until the Deployment's controller has seen the latest spec.
func (p *pair) awaitObserved() {
	p.Helper()
	err := wait.PollUntilContextTimeout(p.Context(), 5*time.Millisecond, giveUp, true, func(context.Context) (bool, error) {
		d := &appsv1.Deployment{}
		p.Get(web, d)
		return d.Status.ObservedGeneration == d.Generation, nil
	})
	if err != nil {
		p.Fatalf("waiting until the Deployment is observed: %v", err)
	}
}

// awaitRevision waits until the newest revision of both is the template: a history is of what was seen.
func (p *pair) awaitRevision() {
	p.Helper()
	newest := func(looks []look) bool { return len(looks) > 0 && looks[len(looks)-1] == p.spec.look }
	err := wait.PollUntilContextTimeout(p.Context(), 5*time.Millisecond, giveUp, true, func(context.Context) (bool, error) {
		return p.spec.paused || newest(p.replicaSetLooks()), nil
	})
	if err != nil {
		p.Fatalf("waiting for the ReplicaSet of %+v: %v", p.spec.look, err)
	}
	if !newest(p.revisionLooks()) {
		p.turn()
	}
}

// turn gives a turn to the controller of CloneSets and to scheduler and kubelet. That of Deployments takes its own. It
// returns whether there was anything to do.
func (p *pair) turn() bool {
	p.Helper()
	pods, serving := p.podsOf("CloneSet"), 0
	before := len(pods)
	for i := range pods {
		serving += one(p.serves(&pods[i]))
	}
	if err := p.Reconcile(p.key); err != nil {
		p.Fatalf("reconcile: %v", err)
	}
	pods = p.podsOf("CloneSet")
	if most := max(before, p.spec.most()); len(pods) > most {
		p.Errorf("the CloneSet has %d pods, want %d or fewer", len(pods), most)
	}
	left := 0
	for i := range pods {
		left += one(p.serves(&pods[i]))
	}
	if fewest := min(serving, p.spec.fewest()); left < fewest {
		p.Errorf("%d pods of the CloneSet serve, %d before; want %d or more", left, serving, fewest)
	}
	p.checkAsked()
	wrote := len(p.Writes()) > 0
	return p.Cluster() || wrote
}

// checkAsked fails the test when the Deployment asks for more pods than it may, and did not before.
func (p *pair) checkAsked() {
	p.Helper()
	list := &appsv1.ReplicaSetList{}
	if err := p.API.List(p.Context(), list, client.InNamespace(p.Namespace)); err != nil {
		p.Fatal(err)
	}
	asked := 0
	for _, rs := range list.Items {
		asked += int(*rs.Spec.Replicas)
	}
	if most := max(p.asked, p.spec.most()); asked > most {
		p.Errorf("the Deployment asks for %d pods, want %d or fewer", asked, most)
	}
	p.asked = asked
}

// podsOf lists the pods whose controller is of a kind and that are not being deleted.
func (p *pair) podsOf(kind string) []corev1.Pod {
	p.Helper()
	return slices.DeleteFunc(p.Pods(), func(pod corev1.Pod) bool {
		owner := metav1.GetControllerOf(&pod)
		return pod.DeletionTimestamp != nil || owner == nil || owner.Kind != kind
	})
}

// serves says whether a pod has been ready for long enough.
func (p *pair) serves(pod *corev1.Pod) bool {
	since := p.Clock.Now().Add(-time.Duration(p.spec.minReady) * time.Second)
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && !c.LastTransitionTime.After(since)
	})
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
