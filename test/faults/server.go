package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
)

// The kinds that the server stores.
const (
	kindPod      = "Pod"
	kindClaim    = "PersistentVolumeClaim"
	kindRevision = "ControllerRevision"
	kindNode     = "Node"

	kindNamespace = "Namespace"
)

const (
	namespace = "shop"
	// inUse is the finalizer that keeps a claim while a pod has it.
	inUse = "kubernetes.io/pvc-protection"
)

// server stores objects as an API server does: each write gets the next resource version and is told to watches, in order.
// What is stored is never written in place. Pods live in a world, whose scheduler and kubelet write them, too.
type server struct {
	kind    *kind    // of the workload
	kinds   []string // that are stored
	world   *world.World
	version int64
	tables  map[string]*table
}

// table holds the objects of one kind, and all that ever happened to them.
type table struct {
	objects map[string]client.Object
	log     []watch.Event
}

func newServer(of *kind) *server {
	s := &server{kind: of, kinds: of.stored(), world: world.New(), version: 1000, tables: map[string]*table{}}
	for _, kind := range s.kinds {
		s.tables[kind] = &table{objects: map[string]client.Object{}}
	}
	s.absorb()
	return s
}

// kindOf names the kind of an object.
func kindOf(obj client.Object) string {
	switch o := obj.(type) {
	case *v1beta1.CloneSet:
		return cloneSetKind
	case *v1beta1.StatefulSet:
		return statefulSetKind
	case *v1beta1.DaemonSet:
		return daemonSetKind
	case *v1beta1.SidecarSet:
		return sidecarSetKind
	case *corev1.Node:
		return kindNode
	case *corev1.Pod:
		return kindPod
	case *corev1.PersistentVolumeClaim:
		return kindClaim
	case *appsv1.ControllerRevision:
		return kindRevision
	default:
		return o.GetObjectKind().GroupVersionKind().Kind
	}
}

func versionOf(obj client.Object) int64 {
	v, err := strconv.ParseInt(obj.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// list returns the objects of a kind in the order of their names.
func list[T client.Object](s *server, kind string) []T {
	var out []T
	t := s.tables[kind]
	for _, name := range slices.Sorted(maps.Keys(t.objects)) {
		if o, ok := t.objects[name].(T); ok {
			out = append(out, o)
		}
	}
	return out
}

func (s *server) pod(name string) *corev1.Pod {
	pod, _ := s.tables[kindPod].objects[name].(*corev1.Pod)
	return pod
}

// store puts an object, which nobody else holds, in the place of the one of its name.
func (s *server) store(kind string, obj client.Object) {
	t := s.tables[kind]
	event := watch.Modified
	if t.objects[obj.GetName()] == nil {
		event = watch.Added
	}
	s.version++
	obj.SetResourceVersion(strconv.FormatInt(s.version, 10))
	t.objects[obj.GetName()] = obj
	t.log = append(t.log, watch.Event{Type: event, Object: obj})
}

// drop removes an object.
func (s *server) drop(kind, name string) {
	t := s.tables[kind]
	last, ok := t.objects[name].DeepCopyObject().(client.Object)
	if !ok {
		return
	}
	s.version++
	last.SetResourceVersion(strconv.FormatInt(s.version, 10))
	delete(t.objects, name)
	t.log = append(t.log, watch.Event{Type: watch.Deleted, Object: last})
}

// absorb stores what became of the pods in the world, and of its nodes where they matter.
func (s *server) absorb() {
	absorb(s, kindPod, s.world.Pods)
	if s.kind.nodes {
		absorb(s, kindNode, s.world.Nodes)
	}
}

func absorb[T interface {
	client.Object
	comparable
}](s *server, kind string, all []T) {
	t, none := s.tables[kind], *new(T)
	lives := map[string]types.UID{}
	for _, obj := range all {
		lives[obj.GetName()] = obj.GetUID()
	}
	for _, obj := range list[T](s, kind) {
		if uid, there := lives[obj.GetName()]; !there || uid != obj.GetUID() {
			s.drop(kind, obj.GetName())
		}
	}
	for i, obj := range all {
		stored, _ := t.objects[obj.GetName()].(T)
		switch {
		case obj == stored:
		case stored != none && equality.Semantic.DeepEqual(obj, stored):
			all[i] = stored
		default:
			s.store(kind, obj)
		}
	}
}

// create stores a new object and returns it.
func (s *server) create(obj client.Object) (client.Object, error) {
	kind := kindOf(obj)
	if kind == kindPod {
		return s.createPod(obj)
	}
	if s.tables[kind].objects[obj.GetName()] != nil {
		return nil, apierrors.NewAlreadyExists(resourceOf(kind), obj.GetName())
	}
	obj, err := copyOf(obj)
	if err != nil {
		return nil, err
	}
	obj.SetUID(types.UID(fmt.Sprintf("%s-%d", kind, s.version+1)))
	obj.SetCreationTimestamp(metav1.NewTime(s.world.Now))
	obj.SetGeneration(1)
	if claim, ok := obj.(*corev1.PersistentVolumeClaim); ok { // its volume is there at once
		claim.Finalizers = []string{inUse}
		claim.Status.Phase, claim.Status.Capacity = corev1.ClaimBound, claim.Spec.Resources.Requests
	}
	s.store(kind, obj)
	return obj, nil
}

func (s *server) createPod(obj client.Object) (client.Object, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return nil, fmt.Errorf("create a pod from %T", obj)
	}
	if err := s.world.Create(pod); err != nil {
		return nil, err
	}
	s.absorb()
	return s.pod(pod.Name), nil
}

// remove deletes an object as the API does: at once, or once its finalizers and its kubelet let go.
func (s *server) remove(kind, name string, p *client.Preconditions) error {
	obj := s.tables[kind].objects[name]
	if obj == nil {
		return apierrors.NewNotFound(resourceOf(kind), name)
	}
	if p != nil && (p.UID != nil && *p.UID != obj.GetUID() || p.ResourceVersion != nil && *p.ResourceVersion != obj.GetResourceVersion()) {
		return apierrors.NewConflict(resourceOf(kind), name, errors.New("precondition failed"))
	}
	if kind == kindPod {
		return s.removePod(s.pod(name))
	}
	switch {
	case len(obj.GetFinalizers()) == 0:
		s.drop(kind, name)
	case obj.GetDeletionTimestamp() == nil:
		ending, err := copyOf(obj)
		if err != nil {
			return err
		}
		ending.SetDeletionTimestamp(&metav1.Time{Time: s.world.Now})
		s.store(kind, ending)
	}
	return nil
}

// removePod gives a pod that runs somewhere into the hands of its kubelet; others end at once.
func (s *server) removePod(pod *corev1.Pod) error {
	err := s.world.Delete(pod.Name, pod.UID)
	runs := pod.Spec.NodeName != "" && pod.Status.Phase != corev1.PodFailed
	if err == nil && !runs && len(pod.Finalizers) == 0 {
		s.world.Lose(pod.Name)
	}
	s.absorb()
	return err
}

// patch changes an object. Only what a subresource holds is changed where one is named.
func (s *server) patch(kind, name, sub string, patch client.Patch, body []byte) (client.Object, error) {
	obj := s.tables[kind].objects[name]
	if obj == nil {
		return nil, apierrors.NewNotFound(resourceOf(kind), name)
	}
	var guard struct {
		Metadata struct{ UID, ResourceVersion string }
	}
	if err := json.Unmarshal(body, &guard); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if uid := guard.Metadata.UID; uid != "" && uid != string(obj.GetUID()) {
		return nil, apierrors.NewConflict(resourceOf(kind), name, errors.New("the UID is another"))
	}
	if v := guard.Metadata.ResourceVersion; v != "" && v != obj.GetResourceVersion() {
		return nil, apierrors.NewConflict(resourceOf(kind), name, errors.New("the object has been modified"))
	}
	if kind == kindPod && patch.Type() == types.StrategicMergePatchType {
		write := map[string]func(string, []byte) error{"": s.world.PatchPod, "status": s.world.PatchStatus, "resize": s.world.PatchResize}[sub]
		err := write(name, body)
		s.absorb()
		return s.pod(name), err
	}
	if claim, ok := obj.(*corev1.PersistentVolumeClaim); ok && patch.Type() == types.StrategicMergePatchType {
		after, err := patchedClaim(claim, body)
		if err != nil {
			return nil, err
		}
		return s.replace(obj, after, sub)
	}
	if kind == kindPod || patch.Type() != types.MergePatchType {
		return nil, apierrors.NewGenericServerResponse(415, "patch", resourceOf(kind), name, string(patch.Type())+" is not modelled", 0, true)
	}
	after, err := merged(obj, body)
	if err != nil {
		return nil, err
	}
	return s.replace(obj, after, sub)
}

// replace stores an object in the place of another, as far as the subresource reaches.
func (s *server) replace(before, after client.Object, sub string) (client.Object, error) {
	if kindOf(before) == s.kind.name {
		whole, err := copyOf(before)
		if err != nil {
			return nil, err
		}
		if sub == "status" {
			s.kind.setStatus(whole, after)
			after = whole
		} else {
			s.kind.setStatus(after, whole)
			if !equality.Semantic.DeepEqual(s.kind.spec(before), s.kind.spec(after)) {
				after.SetGeneration(before.GetGeneration() + 1)
			}
		}
	}
	if equality.Semantic.DeepEqual(before, after) {
		return before, nil
	}
	s.store(kindOf(after), after)
	return after, nil
}

// patchedClaim applies a strategic merge patch to a claim.
func patchedClaim(claim *corev1.PersistentVolumeClaim, body []byte) (client.Object, error) {
	before, err := json.Marshal(claim)
	if err != nil {
		return nil, err
	}
	data, err := strategicpatch.StrategicMergePatch(before, body, claim)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	after := &corev1.PersistentVolumeClaim{}
	return after, json.Unmarshal(data, after)
}

// merged applies a JSON merge patch.
func merged(obj client.Object, body []byte) (client.Object, error) {
	before, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	var fields, change map[string]any
	if err := errors.Join(json.Unmarshal(before, &fields), json.Unmarshal(body, &change)); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	data, err := json.Marshal(merge(fields, change))
	if err != nil {
		return nil, err
	}
	after := fresh(kindOf(obj))
	return after, json.Unmarshal(data, after)
}

func merge(into map[string]any, change map[string]any) map[string]any {
	if into == nil {
		into = map[string]any{}
	}
	for key, value := range change {
		deeper, isMap := value.(map[string]any)
		switch {
		case value == nil:
			delete(into, key)
		case isMap:
			old, _ := into[key].(map[string]any)
			into[key] = merge(old, deeper)
		default:
			into[key] = value
		}
	}
	return into
}

func fresh(kind string) client.Object {
	switch kind {
	case cloneSetKind:
		return &v1beta1.CloneSet{}
	case statefulSetKind:
		return &v1beta1.StatefulSet{}
	case daemonSetKind:
		return &v1beta1.DaemonSet{}
	case sidecarSetKind:
		return &v1beta1.SidecarSet{}
	case kindNode:
		return &corev1.Node{}
	case kindPod:
		return &corev1.Pod{}
	case kindNamespace:
		return &metav1.PartialObjectMetadata{}
	case kindClaim:
		return &corev1.PersistentVolumeClaim{}
	default:
		return &appsv1.ControllerRevision{}
	}
}

func copyOf(obj client.Object) (client.Object, error) {
	out, ok := obj.DeepCopyObject().(client.Object)
	if !ok {
		return nil, fmt.Errorf("the copy of %T is no object", obj)
	}
	return out, nil
}

func resourceOf(kind string) schema.GroupResource {
	return map[string]schema.GroupResource{
		cloneSetKind:    {Group: v1beta1.GroupVersion.Group, Resource: "clonesets"},
		statefulSetKind: {Group: v1beta1.GroupVersion.Group, Resource: "statefulsets"},
		daemonSetKind:   {Group: v1beta1.GroupVersion.Group, Resource: "daemonsets"},
		sidecarSetKind:  {Group: v1beta1.GroupVersion.Group, Resource: "sidecarsets"},
		kindNamespace:   {Resource: "namespaces"},
		kindNode:        {Resource: "nodes"},
		kindPod:         {Resource: "pods"},
		kindClaim:       {Resource: "persistentvolumeclaims"},
		kindRevision:    {Group: "apps", Resource: "controllerrevisions"},
	}[kind]
}
