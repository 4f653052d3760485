package apiserver

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Grant gives a user what the chart gives the manager, in namespaces that exist: the generated roles, and the rights to read
// secrets by name, and scales.
func (s *Server) Grant(ctx context.Context, user string) error {
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}
	byName := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}}
	if err := s.bind(ctx, "kruise-manager-pull-secrets", "", byName, subjects); err != nil {
		return err
	}
	scales := []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*/scale"}, Verbs: []string{"get"}}}
	if err := s.bind(ctx, "kruise-manager-scales", "", scales, subjects); err != nil {
		return err
	}
	for file, namespace := range map[string]string{"rbac/cluster.yaml": "", "rbac/namespace.yaml": ownNamespace, "rbac/daemon-config.yaml": "kruise-daemon-config"} {
		path, err := ChartFile(file)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading the rules of a role: %w", err)
		}
		role := &rbacv1.Role{}
		if err := yaml.UnmarshalStrict(text, role); err != nil {
			return fmt.Errorf("reading the rules of %s: %w", file, err)
		}
		if err := s.bind(ctx, "kruise-manager-role", namespace, role.Rules, subjects); err != nil {
			return err
		}
	}
	return nil
}

// bind makes a role and a binding to it, of the whole cluster if there is no namespace, and returns once the API server goes by them.
func (s *Server) bind(ctx context.Context, name, namespace string, rules []rbacv1.PolicyRule, subjects []rbacv1.Subject) error {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}
	objects := []client.Object{&rbacv1.Role{ObjectMeta: meta, Rules: rules}, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}}
	if namespace == "" {
		ref.Kind = "ClusterRole"
		objects = []client.Object{&rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}}
	}
	for _, object := range objects {
		if err := s.Client.Create(ctx, object); err != nil {
			return fmt.Errorf("creating %T %s: %w", object, name, err)
		}
	}
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		rule := rules[len(rules)-1]
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: subjects[0].Name, ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Group: rule.APIGroups[0], Verb: rule.Verbs[0],
		}}}
		if len(rule.ResourceNames) > 0 {
			review.Spec.ResourceAttributes.Name = rule.ResourceNames[0]
		}
		review.Spec.ResourceAttributes.Resource, review.Spec.ResourceAttributes.Subresource, _ = strings.Cut(rule.Resources[0], "/")
		err := s.Client.Create(ctx, review)
		return review.Status.Allowed, err
	})
	if err != nil {
		return fmt.Errorf("waiting until %s may do what %s says: %w", subjects[0].Name, name, err)
	}
	return nil
}
