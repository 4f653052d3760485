package images

import (
	"maps"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// refusal is an object that is not let in, and what its user reads.
type refusal struct {
	kind string
	// old, if set, is the spec of an object that exists and that spec then replaces.
	old, spec string
	// want is how the message begins, after the name of the object.
	want string
}

const (
	job      = "ImagePullJob"
	list     = "ImageListPullJob"
	node     = "NodeImage"
	badImage = ": must be a reference such as nginx, registry.example.com:5000/shop/web:1.2 or web@sha256:<64 hexadecimal digits>: names are in lower case, without spaces and without https://"
)

// TestRefused is the list of what users can do wrong, and of the words that they then read, in both versions.
func TestRefused(t *testing.T) {
	all := map[string]refusal{}
	for _, some := range []map[string]refusal{refusedImages(), refusedJobs(), refusedSelectors(), refusedLists(), refusedNodeImages()} {
		maps.Copy(all, some)
	}
	for name, tc := range all {
		for _, version := range []string{"v1alpha1", "v1beta1"} {
			t.Run(name+", "+version, func(t *testing.T) {
				t.Parallel()
				namespace := server.Namespace(t)
				if tc.kind == node {
					namespace = ""
				}
				o := object(t, tc.kind, version, namespace, "demo", tc.spec)
				var err error
				if tc.old == "" {
					err = server.Client.Create(t.Context(), o)
				} else {
					existing := object(t, tc.kind, version, namespace, "demo", tc.old)
					create(t, existing)
					before := existing.DeepCopy()
					existing.Object["spec"] = o.Object["spec"]
					err = server.Client.Patch(t.Context(), existing, client.MergeFrom(before))
				}
				if err == nil {
					t.Fatal("it was let in")
				}
				got := err.Error()
				for _, prefix := range []string{
					`admission webhook "vimagepulljob.kb.io" denied the request: `, `admission webhook "vimagelistpulljob.kb.io" denied the request: `,
					tc.kind + `.apps.kruise.io "demo" is invalid: `,
				} {
					got = strings.TrimPrefix(got, prefix)
				}
				got = strings.TrimPrefix(got, "[") // which says that more is wrong; most of that follows from the first
				if !strings.HasPrefix(got, tc.want) {
					t.Errorf("message\n%s\nwant\n%s", got, tc.want)
				}
			})
		}
	}
}

func refusedImages() map[string]refusal {
	return map[string]refusal{
		"no image":                   {kind: job, spec: `{completionPolicy: {}}`, want: `spec.image: Required value`},
		"an empty image":             {kind: job, spec: `{image: "", completionPolicy: {}}`, want: `spec.image: Invalid value: ""` + badImage},
		"an image in upper case":     {kind: job, spec: `{image: Nginx, completionPolicy: {}}`, want: `spec.image: Invalid value: "Nginx"` + badImage},
		"an image with a space":      {kind: job, spec: `{image: "nginx latest", completionPolicy: {}}`, want: `spec.image: Invalid value: "nginx latest"` + badImage},
		"an image with a scheme":     {kind: job, spec: `{image: "https://nginx", completionPolicy: {}}`, want: `spec.image: Invalid value: "https://nginx"` + badImage},
		"an image with no tag":       {kind: job, spec: `{image: "nginx:", completionPolicy: {}}`, want: `spec.image: Invalid value: "nginx:"` + badImage},
		"an image with half a hash":  {kind: job, spec: `{image: "nginx@sha256:1234", completionPolicy: {}}`, want: `spec.image: Invalid value: "nginx@sha256:1234"` + badImage},
		"an image that is an id":     {kind: job, spec: `{image: ` + strings.Repeat("ab", 32) + `, completionPolicy: {}}`, want: `spec.image: Invalid value: "` + strings.Repeat("ab", 32) + `": image "` + strings.Repeat("ab", 32) + `" cannot be read: invalid repository name`},
		"an image with a long name":  {kind: job, spec: `{image: ` + strings.Repeat("a", 256) + `, completionPolicy: {}}`, want: `spec.image: Invalid value: "` + strings.Repeat("a", 256) + `": image "` + strings.Repeat("a", 256) + `" cannot be read: `},
		"an image longer than names": {kind: job, spec: `{image: ` + strings.Repeat("a", 1025) + `, completionPolicy: {}}`, want: `spec.image: Too long: may not be more than 1024`},
	}
}

func refusedJobs() map[string]refusal {
	return map[string]refusal{
		"no completionPolicy":        {kind: job, spec: `{image: nginx}`, want: `spec.completionPolicy: Required value`},
		"a type that does not exist": {kind: job, spec: `{image: nginx, completionPolicy: {type: Sometimes}}`, want: `spec.completionPolicy.type: Unsupported value: "Sometimes": supported values: "Always", "Never"`},
		"a deadline with Never":      {kind: job, spec: `{image: nginx, completionPolicy: {type: Never, activeDeadlineSeconds: 700}}`, want: `spec.completionPolicy: Invalid value: activeDeadlineSeconds and ttlSecondsAfterFinished are for type Always`},
		"a time to live with Never":  {kind: job, spec: `{image: nginx, completionPolicy: {type: Never, ttlSecondsAfterFinished: 7}}`, want: `spec.completionPolicy: Invalid value: activeDeadlineSeconds and ttlSecondsAfterFinished are for type Always`},
		"a deadline below the default timeout": {kind: job, spec: `{image: nginx, completionPolicy: {activeDeadlineSeconds: 599}}`,
			want: `spec: Invalid value: completionPolicy.activeDeadlineSeconds must not be less than pullPolicy.timeoutSeconds (default 600)`},
		"a deadline below the timeout": {kind: job, spec: `{image: nginx, pullPolicy: {timeoutSeconds: 20}, completionPolicy: {activeDeadlineSeconds: 19}}`,
			want: `spec: Invalid value: completionPolicy.activeDeadlineSeconds must not be less than pullPolicy.timeoutSeconds (default 600)`},
		"a negative deadline":               {kind: job, spec: `{image: nginx, completionPolicy: {activeDeadlineSeconds: -1}}`, want: `spec.completionPolicy.activeDeadlineSeconds: Invalid value: -1`},
		"a negative time to live":           {kind: job, spec: `{image: nginx, completionPolicy: {ttlSecondsAfterFinished: -1}}`, want: `spec.completionPolicy.ttlSecondsAfterFinished: Invalid value: -1`},
		"a negative timeout":                {kind: job, spec: `{image: nginx, pullPolicy: {timeoutSeconds: -1}, completionPolicy: {}}`, want: `spec.pullPolicy.timeoutSeconds: Invalid value: -1`},
		"a negative backoffLimit":           {kind: job, spec: `{image: nginx, pullPolicy: {backoffLimit: -1}, completionPolicy: {}}`, want: `spec.pullPolicy.backoffLimit: Invalid value: -1`},
		"negative parallelism":              {kind: job, spec: `{image: nginx, parallelism: -1, completionPolicy: {}}`, want: `spec.parallelism: Invalid value: -1: parallelism must be an integer of 0 or more; percentages are not supported`},
		"parallelism in percent":            {kind: job, spec: `{image: nginx, parallelism: "10%", completionPolicy: {}}`, want: `spec.parallelism: Invalid value: "10%": parallelism must be an integer of 0 or more; percentages are not supported`},
		"parallelism in quotes":             {kind: job, spec: `{image: nginx, parallelism: "10", completionPolicy: {}}`, want: `spec.parallelism: Invalid value: "10": parallelism must be an integer of 0 or more; percentages are not supported`},
		"a pull policy that does not exist": {kind: job, spec: `{image: nginx, imagePullPolicy: Never, completionPolicy: {}}`, want: `spec.imagePullPolicy: Unsupported value: "Never": supported values: "IfNotPresent", "Always"`},
		"a pull secret without a name":      {kind: job, spec: `{image: nginx, pullSecrets: [""], completionPolicy: {}}`, want: `spec.pullSecrets[0]: Invalid value: ""`},
		"other pull secrets": {kind: job, old: `{image: nginx, selector: {names: [nobody]}, pullSecrets: [a], completionPolicy: {}}`, spec: `{image: nginx, pullSecrets: [b], completionPolicy: {}}`,
			want: `<nil>: Invalid value: spec.pullSecrets is immutable: the secrets were handed to the nodes already; create another job instead`},
		"pull secrets later": {kind: job, old: `{image: nginx, selector: {names: [nobody]}, completionPolicy: {}}`, spec: `{image: nginx, pullSecrets: [b], completionPolicy: {}}`,
			want: `<nil>: Invalid value: spec.pullSecrets is immutable`},
	}
}

func refusedSelectors() map[string]refusal {
	return map[string]refusal{
		"nodes and pods":                {kind: job, spec: `{image: nginx, selector: {}, podSelector: {}, completionPolicy: {}}`, want: `spec: Invalid value: selector and podSelector exclude each other: nodes are chosen by one of them`},
		"nodes by name and by label":    {kind: job, spec: `{image: nginx, selector: {names: [a], matchLabels: {a: b}}, completionPolicy: {}}`, want: `spec.selector: Invalid value: names and labels exclude each other: nodes are chosen by one of them`},
		"a node twice":                  {kind: job, spec: `{image: nginx, selector: {names: [a, a]}, completionPolicy: {}}`, want: `spec.selector.names[1]: Duplicate value: "a"`},
		"an operator that is none":      {kind: job, spec: `{image: nginx, selector: {matchExpressions: [{key: a, operator: Like}]}, completionPolicy: {}}`, want: `spec.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator`},
		"In without values":             {kind: job, spec: `{image: nginx, podSelector: {matchExpressions: [{key: a, operator: In}]}, completionPolicy: {}}`, want: `spec.podSelector.matchExpressions[0].values: Required value: must be specified when ` + "`operator`" + ` is 'In' or 'NotIn'`},
		"a label that cannot be":        {kind: job, spec: `{image: nginx, podSelector: {matchLabels: {a: "b c"}}, completionPolicy: {}}`, want: `spec.podSelector.matchLabels: Invalid value: "b c"`},
		"a label for nodes likewise":    {kind: list, spec: `{images: [nginx], selector: {matchLabels: {"a b": c}}, completionPolicy: {}}`, want: `spec.selector.matchLabels: Invalid value: "a b"`},
		"nodes and pods, for a list":    {kind: list, spec: `{images: [nginx], selector: {}, podSelector: {}, completionPolicy: {}}`, want: `spec: Invalid value: selector and podSelector exclude each other`},
		"names and labels, for a list":  {kind: list, spec: `{images: [nginx], selector: {names: [a], matchExpressions: [{key: a, operator: Exists}]}, completionPolicy: {}}`, want: `spec.selector: Invalid value: names and labels exclude each other`},
		"a node twice, for a list":      {kind: list, spec: `{images: [nginx], selector: {names: [a, a]}, completionPolicy: {}}`, want: `spec.selector.names[1]: Duplicate value: "a"`},
		"an operator later":             {kind: job, old: `{image: nginx, selector: {names: [nobody]}, completionPolicy: {}}`, spec: `{image: nginx, podSelector: {matchExpressions: [{key: a, operator: Like}]}, completionPolicy: {}}`, want: `spec.podSelector.matchExpressions[0].operator: Invalid value: "Like"`},
		"an operator later, for a list": {kind: list, old: `{images: [nginx], selector: {names: [nobody]}, completionPolicy: {}}`, spec: `{images: [nginx], podSelector: {matchExpressions: [{key: a, operator: Like}]}, completionPolicy: {}}`, want: `spec.podSelector.matchExpressions[0].operator: Invalid value: "Like"`},
	}
}

func refusedLists() map[string]refusal {
	many := make([]string, 256)
	for i := range many {
		many[i] = "image-" + string(rune('a'+i%26)) + string(rune('a'+i/26))
	}
	return map[string]refusal{
		"no images":                            {kind: list, spec: `{completionPolicy: {}}`, want: `spec.images: Required value`},
		"a list of nothing":                    {kind: list, spec: `{images: [], completionPolicy: {}}`, want: `spec.images: Invalid value: 0: spec.images in body should have at least 1 items`},
		"an image twice":                       {kind: list, spec: `{images: [nginx, redis, nginx], completionPolicy: {}}`, want: `spec.images[2]: Duplicate value: "nginx"`},
		"too many images":                      {kind: list, spec: `{images: [` + strings.Join(many, ",") + `], completionPolicy: {}}`, want: `spec.images: Too many: 256: must have at most 255 items`},
		"an image that is none":                {kind: list, spec: `{images: [nginx, "a b"], completionPolicy: {}}`, want: `spec.images[1]: Invalid value: "a b"` + badImage},
		"an image that is empty":               {kind: list, spec: `{images: [""], completionPolicy: {}}`, want: `spec.images[0]: Invalid value: ""` + badImage},
		"an image that is too long":            {kind: list, spec: `{images: [` + strings.Repeat("a", 1025) + `], completionPolicy: {}}`, want: `spec.images[0]: Too long`},
		"an image that is an id, for a list":   {kind: list, spec: `{images: [nginx, ` + strings.Repeat("ab", 32) + `], completionPolicy: {}}`, want: `spec.images[1]: Invalid value: "` + strings.Repeat("ab", 32) + `"`},
		"no completionPolicy, for a list":      {kind: list, spec: `{images: [nginx]}`, want: `spec.completionPolicy: Required value`},
		"a deadline with Never, for a list":    {kind: list, spec: `{images: [nginx], completionPolicy: {type: Never, activeDeadlineSeconds: 700}}`, want: `spec.completionPolicy: Invalid value: activeDeadlineSeconds and`},
		"a short deadline, for a list":         {kind: list, spec: `{images: [nginx], completionPolicy: {activeDeadlineSeconds: 599}}`, want: `spec: Invalid value: completionPolicy.activeDeadlineSeconds must not be less`},
		"parallelism in percent, for a list":   {kind: list, spec: `{images: [nginx], parallelism: 5%, completionPolicy: {}}`, want: `spec.parallelism: Invalid value: "5%": parallelism must be an integer`},
		"an unknown pull policy, for a list":   {kind: list, spec: `{images: [nginx], imagePullPolicy: Never, completionPolicy: {}}`, want: `spec.imagePullPolicy: Unsupported value: "Never"`},
		"a secret without a name, for a list":  {kind: list, spec: `{images: [nginx], pullSecrets: [""], completionPolicy: {}}`, want: `spec.pullSecrets[0]: Invalid value: ""`},
		"a negative backoffLimit, for a list":  {kind: list, spec: `{images: [nginx], pullPolicy: {backoffLimit: -1}, completionPolicy: {}}`, want: `spec.pullPolicy.backoffLimit: Invalid value: -1`},
		"a negative time to live, for a list":  {kind: list, spec: `{images: [nginx], completionPolicy: {ttlSecondsAfterFinished: -1}}`, want: `spec.completionPolicy.ttlSecondsAfterFinished: Invalid value: -1`},
		"a type that does not exist, for list": {kind: list, spec: `{images: [nginx], completionPolicy: {type: Once}}`, want: `spec.completionPolicy.type: Unsupported value: "Once"`},
	}
}

func refusedNodeImages() map[string]refusal {
	task := func(fields string) string { return `{images: {nginx: {tags: [{tag: a` + fields + `}]}}}` }
	many := make([]string, 257)
	for i := range many {
		many[i] = "image-" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ": {tags: [{tag: a}]}"
	}
	return map[string]refusal{
		"tags that are missing":         {kind: node, spec: `{images: {nginx: {}}}`, want: `spec.images.nginx.tags: Required value`},
		"a tag without a name":          {kind: node, spec: `{images: {nginx: {tags: [{version: 1}]}}}`, want: `spec.images.nginx.tags[0].tag: Required value`},
		"an empty tag":                  {kind: node, spec: `{images: {nginx: {tags: [{tag: ""}]}}}`, want: `spec.images.nginx.tags[0].tag: Invalid value: ""`},
		"a tag twice":                   {kind: node, spec: `{images: {nginx: {tags: [{tag: a}, {tag: a}]}}}`, want: `spec.images[nginx].tags[1]: Duplicate value: {"tag":"a"}`},
		"an image without a name":       {kind: node, spec: `{images: {"": {tags: [{tag: a}]}}}`, want: `spec.images: Invalid value: the name of an image must not be empty`},
		"too many names":                {kind: node, spec: `{images: {` + strings.Join(many, ",") + `}}`, want: `spec.images: Too many: 257: must have at most 256 items`},
		"a negative version":            {kind: node, spec: task(", version: -1"), want: `spec.images.nginx.tags[0].version: Invalid value: -1`},
		"a version in words":            {kind: node, spec: task(", version: one"), want: `spec.images.nginx.tags[0].version: Invalid value: "string"`},
		"a beginning that is no time":   {kind: node, spec: task(", createdAt: noon"), want: `spec.images.nginx.tags[0].createdAt: Invalid value: "noon"`},
		"a task's unknown pull policy":  {kind: node, spec: task(", imagePullPolicy: Never"), want: `spec.images.nginx.tags[0].imagePullPolicy: Unsupported value: "Never"`},
		"a task's negative timeout":     {kind: node, spec: task(", pullPolicy: {timeoutSeconds: -1}"), want: `spec.images.nginx.tags[0].pullPolicy.timeoutSeconds: Invalid value: -1`},
		"a task's negative backoff":     {kind: node, spec: task(", pullPolicy: {backoffLimit: -1}"), want: `spec.images.nginx.tags[0].pullPolicy.backoffLimit: Invalid value: -1`},
		"a task's negative deadline":    {kind: node, spec: task(", pullPolicy: {activeDeadlineSeconds: -1}"), want: `spec.images.nginx.tags[0].pullPolicy.activeDeadlineSeconds: Invalid value: -1`},
		"a task's negative time to go":  {kind: node, spec: task(", pullPolicy: {ttlSecondsAfterFinished: -1}"), want: `spec.images.nginx.tags[0].pullPolicy.ttlSecondsAfterFinished: Invalid value: -1`},
		"owners that are no references": {kind: node, spec: task(", ownerReferences: [a]"), want: `spec.images.nginx.tags[0].ownerReferences[0]: Invalid value: "string"`},
		"images that are a list":        {kind: node, spec: `{images: [nginx]}`, want: `spec.images: Invalid value: "array"`},
	}
}
