package images

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
)

func TestWhatIsNotSaidIsFilledIn(t *testing.T) {
	const digest = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	template := `parallelism: 1, pullPolicy: {timeoutSeconds: 600, backoffLimit: 3}, imagePullPolicy: IfNotPresent, completionPolicy: {type: Always}`
	for name, tc := range map[string]struct{ kind, spec, want string }{
		"the walk-through": {job, `{image: "nginx:latest", parallelism: 10, selector: {}, completionPolicy: {}}`,
			`{image: "nginx:latest", parallelism: 10, selector: {}, pullPolicy: {timeoutSeconds: 600, backoffLimit: 3}, imagePullPolicy: IfNotPresent, completionPolicy: {type: Always}}`},
		"an image by tag and digest":            {job, `{image: "registry.lan:5000/a_b/c--d:1.2` + digest + `", completionPolicy: {}}`, `{image: "registry.lan:5000/a_b/c--d:1.2` + digest + `", ` + template + `}`},
		"an image of a registry without a name": {job, `{image: "[fd00::1]:5000/nginx", completionPolicy: {}}`, `{image: "[fd00::1]:5000/nginx", ` + template + `}`},
		"what is said stays": {job, `{image: nginx, parallelism: 0, pullPolicy: {timeoutSeconds: 5, backoffLimit: 0}, imagePullPolicy: Always, completionPolicy: {type: Never}}`,
			`{image: nginx, parallelism: 0, pullPolicy: {timeoutSeconds: 5, backoffLimit: 0}, imagePullPolicy: Always, completionPolicy: {type: Never}}`},
		"a deadline as long as the timeout": {job, `{image: nginx, pullPolicy: {timeoutSeconds: 5}, completionPolicy: {activeDeadlineSeconds: 5}}`,
			`{image: nginx, parallelism: 1, pullPolicy: {timeoutSeconds: 5, backoffLimit: 3}, imagePullPolicy: IfNotPresent, completionPolicy: {type: Always, activeDeadlineSeconds: 5}}`},
		"a list": {list, `{images: [nginx, "redis:7"], completionPolicy: {}}`, `{images: [nginx, "redis:7"], ` + template + `}`},
		"a node": {node, `{images: {nginx: {tags: [{tag: latest, createdAt: "2026-01-01T00:00:00Z"}]}}}`,
			`{images: {nginx: {tags: [{tag: latest, createdAt: "2026-01-01T00:00:00Z", pullPolicy: {timeoutSeconds: 600, backoffLimit: 3, ttlSecondsAfterFinished: 300}}]}}}`},
		"secrets of a node, also those that others copied": {node, `{images: {nginx: {tags: [], pullSecrets: [{namespace: a, name: b, mode: batch}, {namespace: a, name: c}]}}}`,
			`{images: {nginx: {tags: [], pullSecrets: [{namespace: a, name: b, mode: batch}, {namespace: a, name: c}]}}}`},
	} {
		for _, version := range []string{"v1alpha1", "v1beta1"} {
			t.Run(name+", "+version, func(t *testing.T) {
				namespace := server.Namespace(t)
				o := object(t, tc.kind, version, namespace, "demo", tc.spec)
				if tc.kind == node {
					o.SetNamespace("")
					o.SetLabels(map[string]string{v1beta1.FakeNodeImageKey: "true"})
					o.SetName(strings.ToLower(strings.Fields(name)[0]) + "-" + version)
				}
				if err := server.Client.Create(t.Context(), o, client.DryRunAll); err != nil {
					t.Fatal(err)
				}
				var want any
				if err := yaml.Unmarshal([]byte(tc.want), &want); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(asJSON(t, want), asJSON(t, o.Object["spec"])); diff != "" {
					t.Errorf("spec (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func asJSON(t *testing.T, value any) (out any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBothVersionsAreReadWithoutAWebhook(t *testing.T) {
	namespace := server.Namespace(t)
	old := object(t, job, "v1alpha1", namespace, "demo", `{image: nginx, selector: {names: [nobody]}, completionPolicy: {}}`)
	create(t, old)
	other := &unstructured.Unstructured{}
	other.SetGroupVersionKind(v1beta1.GroupVersion.WithKind(job))
	other.SetNamespace(namespace)
	other.SetName("demo")
	get(t, other)
	if diff := cmp.Diff(old.Object["spec"], other.Object["spec"]); diff != "" {
		t.Errorf("v1alpha1 and v1beta1:\n%s", diff)
	}
}

func TestColumns(t *testing.T) {
	for path, want := range map[string]string{
		"/apis/apps.kruise.io/v1alpha1/imagepulljobs":     "Name TOTAL ACTIVE SUCCEED FAILED AGE MESSAGE",
		"/apis/apps.kruise.io/v1beta1/imagepulljobs":      "Name TOTAL ACTIVE SUCCEED FAILED AGE",
		"/apis/apps.kruise.io/v1alpha1/imagelistpulljobs": "Name TOTAL SUCCEEDED COMPLETED AGE",
		"/apis/apps.kruise.io/v1beta1/imagelistpulljobs":  "Name TOTAL SUCCEEDED COMPLETED AGE",
		"/apis/apps.kruise.io/v1alpha1/nodeimages":        "Name DESIRED PULLING SUCCEED FAILED AGE",
		"/apis/apps.kruise.io/v1beta1/nodeimages":         "Name DESIRED PULLING SUCCEED FAILED AGE",
	} {
		t.Run(path, func(t *testing.T) {
			if got := columns(t, path); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func columns(t *testing.T, path string) string {
	t.Helper()
	raw, err := discovery.NewDiscoveryClientForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	text, err := raw.RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	table := &metav1.Table{}
	if err := json.Unmarshal(text, table); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, column := range table.ColumnDefinitions {
		names = append(names, column.Name)
	}
	return strings.Join(names, " ")
}
