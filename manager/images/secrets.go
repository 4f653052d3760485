package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Nodes read pull secrets from one namespace, and no others; the manager copies there what a job needs, as long as it needs
// it. Secrets of other namespaces it can read by name at most, and neither list nor watch; in which namespaces is for who
// installs it to say, so that right is not generated.
//
// +kubebuilder:rbac:groups="",namespace=kruise-daemon-config,resources=secrets,verbs=get;list;create;patch;delete

// refreshEvery is how often a copy is compared with its source while a job needs it.
const refreshEvery = time.Minute

// sweep is the request for looking which copies there are.
var sweep = reconcile.Request{}

// copyState is what is known of the copy of a secret.
type copyState int

const (
	unknown copyState = iota
	copied
	missing // there is no such secret, or it is none for pulling, or it must not be read
)

// secrets keeps the copies. A request names a source.
type secrets struct {
	*Controllers

	mu    sync.Mutex
	known map[types.NamespacedName]copyState
	names map[types.NamespacedName]string // of copies whose name another manager chose
}

// sources are the secrets of a job.
func sources(job *v1beta1.ImagePullJob) []types.NamespacedName {
	var all []types.NamespacedName
	for _, name := range job.Spec.PullSecrets {
		all = append(all, types.NamespacedName{Namespace: job.Namespace, Name: name})
	}
	return all
}

// state says why a job has to wait for its secrets, if it has, and which of them it has to go without.
func (s *secrets) state(job *v1beta1.ImagePullJob) (hold string, without []string) {
	if job.Namespace == s.options.ConfigNamespace {
		return "", nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, source := range sources(job) {
		switch s.known[source] {
		case unknown:
			hold = "waiting until pull secret " + source.Name + " is where nodes can read it"
		case missing:
			without = append(without, source.Name)
		}
	}
	return hold, without
}

// references are where nodes read the secrets of a job. They do not depend on which exist.
func (s *secrets) references(job *v1beta1.ImagePullJob) []v1beta1.ReferenceObject {
	var all []v1beta1.ReferenceObject
	for _, source := range sources(job) {
		reference := v1beta1.ReferenceObject{Namespace: s.options.ConfigNamespace, Name: source.Name}
		if job.Namespace != s.options.ConfigNamespace {
			reference.Name, reference.Mode = s.copyName(source), v1beta1.BatchMode
		}
		all = append(all, reference)
	}
	return all
}

// copyName is the name of the copy of a secret.
func (s *secrets) copyName(source types.NamespacedName) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name := s.names[source]; name != "" {
		return name
	}
	return ownName(source)
}

// ownName is the name that this manager gives to the copy of a secret.
func ownName(source types.NamespacedName) string {
	sum := sha256.Sum256([]byte(source.String()))
	const suffix = 3 // bytes
	return source.Name[:min(len(source.Name), 240)] + "-" + hex.EncodeToString(sum[:suffix])
}

// Reconcile implements reconcile.Reconciler.
func (s *secrets) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if req == sweep {
		return reconcile.Result{}, s.look(ctx)
	}
	users, err := s.users(req.NamespacedName)
	if err != nil {
		return reconcile.Result{}, err
	}
	if len(users) == 0 {
		return reconcile.Result{}, s.drop(ctx, req.NamespacedName)
	}
	state, err := s.refresh(ctx, req.NamespacedName, users)
	if err != nil {
		return reconcile.Result{}, err
	}
	s.mu.Lock()
	changed := s.known[req.NamespacedName] != state
	s.known[req.NamespacedName] = state
	s.mu.Unlock()
	if changed {
		s.jobWaker.Wake(users...)
	}
	return reconcile.Result{RequeueAfter: refreshEvery}, nil
}

// users are the jobs that need a secret, sorted.
func (s *secrets) users(source types.NamespacedName) ([]types.NamespacedName, error) {
	found, err := s.jobStore.By(bySecret, source.String())
	if err != nil {
		return nil, err
	}
	var users []types.NamespacedName
	for _, job := range found {
		if job.Status.CompletionTime == nil && job.DeletionTimestamp == nil {
			users = append(users, client.ObjectKeyFromObject(job))
		}
	}
	slices.SortFunc(users, func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
	return users, nil
}

// look finds the copies that there are, so that those which nobody needs any more go.
func (s *secrets) look(ctx context.Context) error {
	list := &corev1.SecretList{}
	if err := s.live.List(ctx, list, client.InNamespace(s.options.ConfigNamespace)); err != nil {
		return fmt.Errorf("look for copies of pull secrets in namespace %s: %w", s.options.ConfigNamespace, err)
	}
	for i := range list.Items {
		namespace, name, ok := strings.Cut(list.Items[i].Annotations[v1beta1.PullSecretSourceKey], "/")
		if !ok {
			continue
		}
		source := types.NamespacedName{Namespace: namespace, Name: name}
		if list.Items[i].Name != ownName(source) {
			s.mu.Lock()
			s.names[source] = list.Items[i].Name
			s.mu.Unlock()
		}
		s.waker.Wake(source)
	}
	return nil
}

// drop removes the copy of a secret that nobody needs.
func (s *secrets) drop(ctx context.Context, source types.NamespacedName) error {
	name := s.copyName(source)
	kept := &corev1.Secret{}
	err := s.live.Get(ctx, types.NamespacedName{Namespace: s.options.ConfigNamespace, Name: name}, kept)
	if err == nil && kept.Annotations[v1beta1.PullSecretSourceKey] == source.String() {
		uid := kept.UID
		err = s.client.Delete(ctx, kept, client.Preconditions{UID: &uid})
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove the copy %s of pull secret %s: %w", name, source, err)
	}
	s.mu.Lock()
	delete(s.known, source)
	delete(s.names, source)
	s.mu.Unlock()
	return nil
}

// refresh makes the copy of a secret as the secret is.
func (s *secrets) refresh(ctx context.Context, source types.NamespacedName, users []types.NamespacedName) (copyState, error) {
	original := &corev1.Secret{}
	err := s.live.Get(ctx, source, original)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
		return unknown, fmt.Errorf("read pull secret %s: %w", source, err)
	}
	if err != nil || original.Type != corev1.SecretTypeDockerConfigJson && original.Type != corev1.SecretTypeDockercfg {
		if err := s.drop(ctx, source); err != nil {
			return unknown, err
		}
		return missing, nil
	}
	names := make([]string, len(users))
	for i, user := range users {
		names[i] = user.String()
	}
	wanted := &corev1.Secret{Type: original.Type, Data: original.Data}
	wanted.Namespace, wanted.Name = s.options.ConfigNamespace, s.copyName(source)
	wanted.Annotations = map[string]string{
		v1beta1.PullSecretSourceKey: source.String(), v1beta1.PullSecretReferencesKey: strings.Join(names, ","), v1beta1.PullSecretModeKey: v1beta1.BatchMode,
	}
	if err := s.write(ctx, wanted); err != nil {
		return unknown, fmt.Errorf("copy pull secret %s: %w", source, err)
	}
	return copied, nil
}

// write makes a copy as it is wanted.
func (s *secrets) write(ctx context.Context, wanted *corev1.Secret) error {
	is := &corev1.Secret{}
	err := s.live.Get(ctx, client.ObjectKeyFromObject(wanted), is)
	switch {
	case apierrors.IsNotFound(err):
		return s.client.Create(ctx, wanted)
	case err != nil:
		return err
	case is.Annotations[v1beta1.PullSecretSourceKey] != wanted.Annotations[v1beta1.PullSecretSourceKey]:
		return fmt.Errorf("secret %s/%s is there and was not copied from it", is.Namespace, is.Name)
	case is.Type != wanted.Type: // it cannot be changed
		uid := is.UID
		if err := s.client.Delete(ctx, is, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
			return err
		}
		return s.client.Create(ctx, wanted)
	}
	after := is.DeepCopy()
	maps.Copy(after.Annotations, wanted.Annotations)
	after.Data = wanted.Data
	if reflect.DeepEqual(is.Annotations, after.Annotations) && reflect.DeepEqual(is.Data, after.Data) {
		return nil
	}
	return s.client.Patch(ctx, after, client.MergeFromWithOptions(is, client.MergeFromWithOptimisticLock{}))
}
