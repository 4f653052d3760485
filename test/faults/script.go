package faults

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/workload"
)

// Script is all that happens in a run.
type Script struct {
	// Seed decides the names of pods and the order of requests that are sent side by side.
	Seed uint64
	// Kind is the kind of the workload, and Set the one that the run begins with. It is named web.
	Kind *kind
	Set  client.Object
	// Options name what is switched on in the manager.
	Options []string
	// Lines are what happens, one after the other.
	Lines []string
}

// scriptFile is the name of the file of a script in an archive. That of the manifest says which kind it is.
const scriptFile = "script"

// pin is the finalizer by which a user holds a pod.
const pin = "example.com/pin"

// Read reads a script from an archive.
func Read(a *txtar.Archive) (Script, error) {
	var s Script
	for _, f := range a.Files {
		for _, kind := range workloads {
			if f.Name != kind.manifest {
				continue
			}
			s.Kind, s.Set = kind, kind.blank()
			if err := yaml.UnmarshalStrict(f.Data, s.Set); err != nil {
				return s, fmt.Errorf("%s: %w", f.Name, err)
			}
		}
		if f.Name == scriptFile {
			for line := range strings.Lines(string(f.Data)) {
				line = strings.TrimSpace(line)
				seed, isSeed := strings.CutPrefix(line, "seed ")
				option, isOption := strings.CutPrefix(line, "option ")
				switch {
				case isOption:
					s.Options = append(s.Options, option)
				case line == "" || line[0] == '#':
				case isSeed:
					n, err := strconv.ParseUint(seed, 10, 64)
					if err != nil {
						return s, fmt.Errorf("%s: %s: %w", scriptFile, line, err)
					}
					s.Seed = n
				default:
					s.Lines = append(s.Lines, line)
				}
			}
		}
	}
	return s, nil
}

// Format writes a script as an archive.
func (s Script) Format(comment string) string {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s.Set)
	if err != nil {
		return err.Error()
	}
	manifest, err := yaml.Marshal(map[string]any{"spec": fields["spec"]})
	if err != nil {
		return err.Error()
	}
	lines := []string{fmt.Sprintf("seed %d", s.Seed)}
	for _, option := range s.Options {
		lines = append(lines, "option "+option)
	}
	lines = append(lines, s.Lines...)
	return string(txtar.Format(&txtar.Archive{Comment: []byte(comment + "\n"), Files: []txtar.File{
		{Name: s.Kind.manifest, Data: manifest},
		{Name: scriptFile, Data: []byte(strings.Join(lines, "\n") + "\n")},
	}}))
}

// The options of a script.
const (
	shortHash         = "ShortHash"
	partitionRollback = "PartitionRollback"
	excludeLeaving    = "ExcludePreparingDelete"
	prepareIsUpdate   = "PreparingUpdateAsUpdate"
	deleteClaims      = "AutoDeleteClaims"
	resizeClaims      = "ResizeClaims"
	bindDirectly      = "BindDirectly"
	pruneIneligible   = "PruneIneligible"
	recreateForClaims = "RecreateForClaims"
	resizePods        = "ResizePods"
	envFromMetadata   = "EnvFromMetadata"
)

func (s Script) options() workload.Options {
	on := func(name string) bool { return slices.Contains(s.Options, name) }
	return workload.Options{
		ShortHash: on(shortHash), PartitionRollback: on(partitionRollback), ExcludePreparingDelete: on(excludeLeaving),
		PreparingUpdateAsUpdate: on(prepareIsUpdate), AutoDeleteClaims: on(deleteClaims), ResizeClaims: on(resizeClaims),
		StartOrdinal: true, PodIndexLabel: true, BindDirectly: on(bindDirectly), PruneIneligible: on(pruneIneligible),
		RecreateForClaims: on(recreateForClaims), InPlace: inplace.Options{Resources: on(resizePods), EnvFromMetadata: on(envFromMetadata)},
	}
}

// do does what a line says. The verbs are:
//
//	run                     the controller reconciles, if its queue holds the object
//	go 3s                   everything takes its course for so long
//	tick 1s                 time passes, and the cluster moves on
//	kubelet #2              the node of one pod looks at it
//	hear all, hear Pod 2    caches hear of changes
//	freeze Pod, thaw Pod    a cache hears of nothing unless it is told to by its name
//	relist Pod              a watch was lost, and the cache is filled anew
//	crash                   the process dies and starts again
//	skew 2s                 the process' clock is ahead of the API server's by so much
//	refuse create Pod Forbidden, allow    writes are refused until they are allowed again
//	at 2 …                  before the second request from here, the rest of the line happens; or to it:
//	at 2 fail Timeout       the request is not carried out
//	at 2 lose Timeout       the request is carried out, and its answer is an error
//	at 2 crash-after        the request is carried out, and the process dies
//	at 2 webhook Fail       a webhook that is called for the request does not answer in time: the request is refused, or with
//	                        Ignore carried out all the same
//	takes 5s, takes 2s 3s   how long containers take to start, and then to be ready
//	bad a:2, good a:2       which images cannot be pulled
//	sick a:2, well a:2      whether containers of an image get ready
//	old-kubelets            kubelets do not say which generation of a pod they saw
//	delete #1, lose #1, evict #1, node 2  pods end: gracefully, at once, as Failed; all those of a node at once
//	label #1 key=value, label #1 key-     a user changes a pod's labels
//	pin #1                  a user puts a finalizer on a pod, which holds it until the end of the script
//	doom #1                 a user puts a pod on podsToDelete
//	hooks                   whoever is behind the hooks does what the pods' states ask for
//	hold #1 one, let-go #1 one            somebody else keeps a pod out of service, or does no more
//	grow 2Gi                a user makes the claim templates of a StatefulSet larger
//	narrow, wide            volumes do not grow, and grow again
//	node-is 1 cordoned, node-is-not 1 cordoned    something is wrong with a node, or no more: cordoned, tainted (pods that do
//	                        not tolerate it are driven out), silent, full, gone; or it is marked, as a set may ask for
//	come 2                  somebody makes pods that a SidecarSet selects, and it is injected into them
//	strangers 2, missed 2   somebody makes pods that it does not select, or that it selects and nobody injected it into
//	neighbour #1            another SidecarSet upgrades its own sidecar in a pod
//	namespace team=shop     a user changes a label of the namespace of the pods
//	env 2                   a user changes the environment of the first sidecar, which no running pod can take over
//	select app=web,zone=a   a user has a SidecarSet select other pods
//	drop-set, make-set      a user deletes the workload, and makes it anew, as it was in the beginning
//	image main=main:2 side=side:2         a user has containers run other images
//	cpu main=2              a user asks for other cpu for containers that ask for some
//	claims data=2Gi logs=1Gi, claims logs-  a user changes the claim templates of a CloneSet
//	resizes Deferred        kubelets put resizes off, or with Infeasible refuse them, until they make them AtOnce
//	patch {…}               a user changes the spec of the workload
//
// #n is the pod at that place among those that exist, counted around, the oldest first. Without pods nothing happens.
func (m *machine) do(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "run", "go", "crash":
		return m.doProcess(verb, rest)
	case "tick", "skew", "takes":
		return m.doTime(verb, rest)
	case "freeze", "thaw":
		m.frozen[rest] = verb == "freeze"
	case "hear", "relist":
		return m.doCaches(verb, rest)
	case "refuse", "allow", "at", "fail", "lose", "crash-after", "webhook":
		if verb == "lose" && strings.HasPrefix(rest, "#") {
			return m.doPod(verb, rest)
		}
		return m.doRequests(verb, rest)
	case "kubelet", "delete", "evict", "label", "doom", "pin", "hold", "let-go":
		return m.doPod(verb, rest)
	case "bad", "good":
		m.world.Bad[rest] = verb == "bad"
		clear(m.steady)
	case "sick", "well":
		m.world.Unready[rest] = verb == "sick"
		clear(m.steady)
	case "old-kubelets":
		m.world.OldKubelet = true
	case "grow":
		return m.changeSet(func(set client.Object) error { return growClaims(set, rest) })
	case "narrow", "wide":
		m.narrow = verb == "narrow"
	case "drop-set", "make-set":
		return m.doSet(verb == "make-set")
	case "node":
		return m.loseNode(rest)
	case "node-is", "node-is-not":
		return m.changeNode(rest, verb == "node-is")
	case "come", "strangers", "missed", "neighbour", "namespace", "env", "select":
		return m.doGuests(verb, rest)
	case "hooks":
		m.hooks()
	case "patch":
		return m.change(rest)
	case "image", "cpu", "resizes":
		return m.doTemplate(verb, rest)
	case "claims":
		return m.changeSet(func(set client.Object) error { return changeClaims(set, rest) })
	default:
		return fmt.Errorf("there is no verb %q", verb)
	}
	return nil
}

func (m *machine) doProcess(verb, rest string) error {
	switch {
	case verb == "crash" && m.reconciling:
		m.faults++
		m.process.dead = true
		return nil
	case m.reconciling:
		return errors.New("a reconcile is under way")
	case verb == "crash":
		m.faults++
		return m.start()
	case verb == "run":
		if m.process.wanted() {
			m.reconcile()
		}
		return nil
	}
	d, err := time.ParseDuration(rest)
	for end := m.world.Now.Add(d); err == nil && m.failure == nil && m.world.Now.Before(end); {
		m.turn(500 * time.Millisecond)
	}
	return err
}

// turn lets everything take its course once.
func (m *machine) turn(d time.Duration) {
	m.hear()
	if m.process.wanted() {
		m.reconcile()
	}
	m.pass(d)
}

func (m *machine) doTime(verb, rest string) error {
	rest, more, two := strings.Cut(rest, " ")
	d, err := time.ParseDuration(rest)
	if err != nil {
		return err
	}
	switch verb {
	case "tick":
		m.pass(d)
	case "skew":
		m.faults++
		m.skew = d
	default:
		m.world.StartTakes, m.world.ReadyTakes = d, 0
		if two {
			m.world.ReadyTakes, err = time.ParseDuration(more)
		}
		clear(m.steady) // containers that started a short while ago may not be ready any more
	}
	return err
}

func (m *machine) doCaches(verb, rest string) error {
	if rest == "all" {
		m.hear()
		return nil
	}
	kind, count, _ := strings.Cut(rest, " ")
	c := m.process.mirrors[kind]
	if c == nil {
		return fmt.Errorf("there is no cache of %q", kind)
	}
	if verb == "relist" {
		m.faults++
		m.process.queued = m.process.queued || c.behind() > 0
		return c.relist(m.version)
	}
	n, err := strconv.Atoi(count)
	if err == nil {
		m.heard(c.hear(n))
	}
	return err
}

// doPod does something to one pod.
func (m *machine) doPod(verb, rest string) error {
	which, rest, _ := strings.Cut(rest, " ")
	i, err := strconv.Atoi(strings.TrimPrefix(which, "#"))
	if err != nil || len(m.world.Pods) == 0 {
		return err
	}
	pod := m.world.Pods[i%len(m.world.Pods)]
	switch verb {
	case "kubelet":
		m.kubelet(pod)
	case "delete":
		return m.remove(kindPod, pod.Name, nil)
	case "neighbour":
		return m.upgradeSpare(pod)
	case "lose":
		m.faults++
		m.world.Lose(pod.Name)
		m.absorb()
	case "evict":
		m.faults++
		err := m.world.PatchStatus(pod.Name, []byte(`{"status":{"phase":"Failed","reason":"Evicted","conditions":[{"type":"Ready","status":"False"}]}}`))
		m.absorb()
		return err
	case "label":
		m.edit(pod, func(meta *metav1.ObjectMeta) {
			if name, gone := strings.CutSuffix(rest, "-"); gone {
				delete(meta.Labels, name)
				return
			}
			name, value, _ := strings.Cut(rest, "=")
			meta.Labels[name] = value
		})
	case "pin":
		m.edit(pod, func(meta *metav1.ObjectMeta) {
			if pod.DeletionTimestamp == nil && !slices.Contains(meta.Finalizers, pin) {
				meta.Finalizers = append(meta.Finalizers, pin)
			}
		})
	case "hold", "let-go":
		return m.keepOut(pod, rest, verb == "hold")
	case "doom":
		return m.changeSet(func(set client.Object) error {
			m.kind.doom(set, pod.Name)
			return nil
		})
	}
	return nil
}

// doSet deletes the workload, or makes it if there is none.
func (m *machine) doSet(exists bool) error {
	m.faults++
	switch set := m.set(); {
	case exists && set == nil:
		if m.kind.admit != nil {
			if err := m.kind.admit(m.first, nil); err != nil {
				return err
			}
		}
		_, err := m.create(m.first)
		return err
	case !exists && set != nil:
		m.drop(m.kind.name, set.GetName())
	}
	return nil
}

func (m *machine) loseNode(number string) error {
	m.faults++
	for _, pod := range slices.Clone(m.world.Pods) {
		if pod.Spec.NodeName == "node-"+number {
			m.world.Lose(pod.Name)
		}
	}
	m.absorb()
	return nil
}

// change changes the spec of the workload. What the text does not name stays.
func (m *machine) change(text string) error {
	return m.changeSet(func(set client.Object) error { return yaml.UnmarshalStrict([]byte(`{"spec":`+text+`}`), set) })
}

func (m *machine) changeSet(change func(client.Object) error) error {
	before := m.set()
	if before == nil {
		return nil
	}
	after, err := copyOf(before)
	if err != nil {
		return err
	}
	if err := change(after); err != nil {
		return err
	}
	if m.kind.admit != nil {
		if err := m.kind.admit(after, before); err != nil {
			return err
		}
	}
	_, err = m.replace(before, after, "")
	return err
}

// active lists the pods that are not on their way out.
func (m *machine) active() []*corev1.Pod {
	return slices.DeleteFunc(list[*corev1.Pod](m.server, kindPod), func(p *corev1.Pod) bool {
		return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodFailed
	})
}
