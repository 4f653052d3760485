package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// StoreAs has objects of a CRD be stored in another version from now on, as an older release did. The version that they
// are stored in is decided anew by each request, and some moments late: see StoredAs. It disturbs every test that runs at
// the same time.
func (s *Server) StoreAs(t *testing.T, crd, version string) {
	t.Helper()
	definition := &apiextensionsv1.CustomResourceDefinition{}
	if err := s.Client.Get(t.Context(), client.ObjectKey{Name: crd}, definition); err != nil {
		t.Fatal(err)
	}
	before := definition.DeepCopy()
	for i := range definition.Spec.Versions {
		definition.Spec.Versions[i].Storage = definition.Spec.Versions[i].Name == version
	}
	if err := s.Client.Patch(t.Context(), definition, client.MergeFrom(before)); err != nil {
		t.Fatalf("storing %s as %s: %v", crd, version, err)
	}
}

// Keeps says whether the API server can list the objects of a CRD as they are stored. Moments after a CRD is made or changed it
// cannot; one that is deleted in them is stuck for a minute and longer, since its objects cannot be looked for.
func (s *Server) Keeps(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition) bool {
	for _, version := range crd.Spec.Versions {
		if version.Storage {
			list := &unstructured.UnstructuredList{}
			list.SetGroupVersionKind(schema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.ListKind})
			return s.Client.List(ctx, list) == nil
		}
	}
	return false
}

// StoredAs reads from etcd itself the apiVersion that an object of ours is stored with.
func (s *Server) StoredAs(ctx context.Context, group, resource string, key client.ObjectKey) (string, error) {
	question, err := json.Marshal(map[string][]byte{"key": []byte("/registry/" + group + "/" + resource + "/" + key.String())})
	if err != nil {
		return "", fmt.Errorf("asking etcd for %s %s: %w", resource, key, err)
	}
	url := s.environment.ControlPlane.Etcd.URL.JoinPath("v3", "kv", "range").String()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(question))
	if err != nil {
		return "", fmt.Errorf("asking etcd for %s %s: %w", resource, key, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("asking etcd for %s %s: %w", resource, key, err)
	}
	defer response.Body.Close()
	var answer struct {
		KVs []struct {
			Value []byte `json:"value"`
		} `json:"kvs"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return "", fmt.Errorf("asking etcd for %s %s: %s: %w", resource, key, response.Status, err)
	}
	if len(answer.KVs) != 1 {
		return "", fmt.Errorf("asking etcd for %s %s: there is no such object", resource, key)
	}
	var object struct {
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal(answer.KVs[0].Value, &object); err != nil {
		return "", fmt.Errorf("asking etcd for %s %s: it is stored in another form than JSON: %w", resource, key, err)
	}
	return object.APIVersion, nil
}

// AwaitStorage writes an object again and again until it is stored with an apiVersion.
func (s *Server) AwaitStorage(t *testing.T, group, resource string, object client.Object, apiVersion string) {
	t.Helper()
	key, n := client.ObjectKeyFromObject(object), 0
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		n++ // a write that changes nothing is not stored
		annotation := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"annotations":{"written":"%d"}}}`, n))
		if err := s.Client.Patch(ctx, object, annotation); err != nil {
			return false, err
		}
		stored, err := s.StoredAs(ctx, group, resource, key)
		return stored == apiVersion, err
	})
	if err != nil {
		t.Fatalf("waiting until %s %s is stored as %s: %v", resource, key, apiVersion, err)
	}
}
