package sidecar

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/kruise/api/apps/v1beta1"
)

func revisionOf(t *testing.T, s *v1beta1.SidecarSet, name string, number int64, version string) *appsv1.ControllerRevision {
	t.Helper()
	data, err := RevisionData(s)
	if err != nil {
		t.Fatal(err)
	}
	r := &appsv1.ControllerRevision{Revision: number, Data: runtime.RawExtension{Raw: data}}
	r.Name, r.Labels = name, map[string]string{v1beta1.SidecarSetNameKey: s.Name, v1beta1.SidecarSetCustomVersionKey: version}
	return r
}

func TestARevisionIsPinnedByItsNameOrByItsVersion(t *testing.T) {
	s, other := set(t, "s", `{}`), set(t, "other", `{}`)
	revisions := []*appsv1.ControllerRevision{
		revisionOf(t, s, "s-1", 1, "v1"), revisionOf(t, s, "s-3", 3, "v1"), revisionOf(t, s, "s-2", 2, "v1"), revisionOf(t, other, "other-4", 4, "v1"), revisionOf(t, s, "s-5", 5, ""),
	}
	for name, tc := range map[string]struct{ strategy, want string }{
		"by name":                       {`{revision: {revisionName: s-1}}`, "s-1"},
		"the newest of a version":       {`{revision: {customVersion: v1}}`, "s-3"},
		"the name counts first":         {`{revision: {revisionName: s-2, customVersion: v1}}`, "s-2"},
		"one that is not there":         {`{revision: {customVersion: v2}}`, ""},
		"one of another set":            {`{revision: {revisionName: other-4}}`, ""},
		"none":                          {`{}`, ""},
		"an empty version pins nothing": {`{revision: {customVersion: ""}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s.Spec.InjectionStrategy = *read[v1beta1.SidecarSetInjectionStrategy](t, tc.strategy)
			got := ""
			if r := Pinned(s, revisions); r != nil {
				got = r.Name
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestASetIsPinnedUnlessItNamesItself(t *testing.T) {
	for strategy, want := range map[string]bool{`{}`: false, `{revision: {customVersion: v1}}`: true, `{revision: {customVersion: v2}}`: false, `{revision: {revisionName: r, customVersion: v2}}`: true} {
		s := set(t, "s", `{customVersion: v2}`)
		s.Spec.InjectionStrategy = *read[v1beta1.SidecarSetInjectionStrategy](t, strategy)
		if got := IsPinned(s); got != want {
			t.Errorf("%s: %t", strategy, got)
		}
	}
}

func TestPartOfThePodsGetThePinnedRevision(t *testing.T) {
	for name, tc := range map[string]struct {
		policy, strategy string
		// of 1,000 pods with app=web, how many get the pinned revision
		want int
	}{
		"always":                          {"Always", `{}`, 1000},
		"partial, nothing says which":     {"Partial", `{}`, 0},
		"paused":                          {"Partial", `{paused: true}`, 1000},
		"a selector that selects them":    {"Partial", `{selector: {matchLabels: {app: web}}}`, 0},
		"a selector that does not":        {"Partial", `{selector: {matchLabels: {app: x}}}`, 1000},
		"a number of pods":                {"Partial", `{partition: 3}`, 1000},
		"no pods":                         {"Partial", `{partition: 0}`, 0},
		"a share of none":                 {"Partial", `{partition: 0%}`, 0},
		"a share of all":                  {"Partial", `{partition: 100%}`, 1000},
		"a share":                         {"Partial", `{partition: 30%}`, 300},
		"a small share, with a fraction":  {"Partial", `{partition: 2.5%}`, 25},
		"always, whatever the share says": {"Always", `{partition: 30%}`, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			s := set(t, "s", `{}`)
			s.Spec.UpdateStrategy = *read[v1beta1.SidecarSetUpdateStrategy](t, tc.strategy)
			s.Spec.InjectionStrategy.Revision = &v1beta1.SidecarSetInjectRevision{Policy: v1beta1.SidecarSetInjectRevisionPolicy(tc.policy)}
			pinned, got := revisionOf(t, s, "r", 1, ""), 0
			for i := range 1000 {
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Labels: map[string]string{"app": "web"}}}
				if GetsPinned(s, pod, fmt.Sprint("web-", i), pinned) {
					got++
				}
			}
			if spread := 4 * math.Sqrt(float64(tc.want)*float64(1000-tc.want)/1000); math.Abs(float64(got-tc.want)) > spread {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestAPodThatComesASecondTimeKeepsItsRevision(t *testing.T) {
	s := set(t, "s", `{updateStrategy: {partition: 50%}, injectionStrategy: {revision: {policy: Partial, revisionName: old}}}`)
	pinned := revisionOf(t, s, "old", 1, "")
	for revision, want := range map[string]bool{"old": true, "new": false} {
		for i := range 20 { // under whatever name
			pod := &corev1.Pod{}
			Inject(pod, []Injection{{Set: s, Revision: revision}}, Options{Now: now})
			if got := GetsPinned(s, pod, fmt.Sprint(i), pinned); got != want {
				t.Errorf("a pod with %s: %t", revision, got)
			}
		}
	}
}

func TestARevisionBringsBackWhatASetInjected(t *testing.T) {
	s := set(t, "s", `{containers: [{name: a, image: "a:1"}], volumes: [{name: v, emptyDir: {}}], imagePullSecrets: [{name: p}], initContainers: [{name: i}], patchPodMetadata: [{annotations: {k: v}}]}`)
	if err := Stamp(s, nil); err != nil {
		t.Fatal(err)
	}
	r := revisionOf(t, s, "s-1", 1, "")
	next := set(t, "s", `{containers: [{name: a, image: "a:2"}], updateStrategy: {paused: true}}`)
	if err := Stamp(next, s); err != nil {
		t.Fatal(err)
	}
	if !SameRevision(s, r) || SameRevision(next, r) {
		t.Errorf("the same: %t, another: %t", SameRevision(s, r), SameRevision(next, r))
	}
	at, err := At(next, r)
	if err != nil {
		t.Fatal(err)
	}
	if at.Annotations[v1beta1.SidecarSetHashKey] != s.Annotations[v1beta1.SidecarSetHashKey] || at.Spec.Containers[0].Image != "a:1" || len(at.Spec.Volumes)+len(at.Spec.ImagePullSecrets)+len(at.Spec.InitContainers)+len(at.Spec.PatchPodMetadata) != 4 || !at.Spec.UpdateStrategy.Paused {
		t.Errorf("got %+v", at)
	}
	r.Data.Raw = []byte(`{"spec":{"containers":5}}`)
	if _, err := At(next, r); err == nil || !strings.HasPrefix(err.Error(), "controller revision /s-1: decode its sidecars: ") || SameRevision(next, r) {
		t.Errorf("of a revision that cannot be read: %v", err)
	}
}

func TestHashesSpeakOfContainersAlone(t *testing.T) {
	hashes := func(spec string) Hashes {
		h, err := HashesOf(set(t, "s", spec))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	base := hashes(`{containers: [{name: a, image: "a:1"}]}`)
	for name, tc := range map[string]struct {
		spec               string
		same, withoutImage bool
	}{
		"another image":           {`{containers: [{name: a, image: "a:2"}]}`, false, true},
		"another command":         {`{containers: [{name: a, image: "a:1", command: [x]}]}`, false, false},
		"defaults written out":    {`{containers: [{name: a, image: "a:1", podInjectPolicy: BeforeAppContainer, upgradeStrategy: {upgradeType: ColdUpgrade}, shareVolumePolicy: {type: disabled}, shareVolumeDevicePolicy: {type: disabled}}]}`, true, true},
		"a volume":                {`{containers: [{name: a, image: "a:1"}], volumes: [{name: v}]}`, true, true},
		"an init container":       {`{containers: [{name: a, image: "a:1"}], initContainers: [{name: i}]}`, true, true},
		"a native sidecar":        {`{containers: [{name: a, image: "a:1"}], initContainers: [{name: i, restartPolicy: Always}]}`, false, false},
		"a way to upgrade":        {`{containers: [{name: a, image: "a:1", upgradeStrategy: {upgradeType: HotUpgrade}}]}`, false, false},
		"what users do to update": {`{containers: [{name: a, image: "a:1"}], updateStrategy: {paused: true}}`, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := hashes(tc.spec)
			if (got.All == base.All) != tc.same || (got.WithoutImage == base.WithoutImage) != tc.withoutImage {
				t.Errorf("got %v, of the base %v", got, base)
			}
		})
	}
	// Pods carry it: it must be the same in every build.
	if want := (Hashes{All: "4wz468d87d9c4c6bxbvv4vw76bv8b4v2wd427f9xdx42bc728w2dzfc68v75fc4c", WithoutImage: "wb75c84w6w9vb524zf4cf97z2f64zwf4wd44547zwfv6d45fv4c2zbb4vvzzv78c"}); base != want {
		t.Errorf("got %v, want %v", base, want)
	}
}

// Pods that another manager injected carry hashes that it computed in its own way.
func TestAHashStaysWhileWhatItSpeaksOfDoes(t *testing.T) {
	old := set(t, "s", `{containers: [{name: a, image: "a:1"}]}`)
	old.Annotations = map[string]string{v1beta1.SidecarSetHashKey: "theirs", v1beta1.SidecarSetHashWithoutImageKey: "theirs-without"}
	for name, tc := range map[string]struct {
		spec            string
		all, withoutImg bool
	}{
		"nothing changes":        {`{containers: [{name: a, image: "a:1"}], updateStrategy: {partition: 1}}`, true, true},
		"the image changes":      {`{containers: [{name: a, image: "a:2"}]}`, false, true},
		"something else changes": {`{containers: [{name: a, image: "a:1", command: [x]}]}`, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := set(t, "s", tc.spec)
			s.Annotations = map[string]string{v1beta1.SidecarSetHashKey: "a user's own idea"}
			if err := Stamp(s, old); err != nil {
				t.Fatal(err)
			}
			h, err := Current(s)
			if err != nil || (h.All == "theirs") != tc.all || (h.WithoutImage == "theirs-without") != tc.withoutImg || h.All == "a user's own idea" {
				t.Errorf("got %v, %v", h, err)
			}
		})
	}
}

func TestExpressions(t *testing.T) {
	for text, want := range map[string]string{
		"cpu": "2", "cpu*50%": "1", "max(cpu*50%, 50m)": "1", "min(cpu, 200m)": "1/5", "1 + 2 * 3": "7", "(1 + 2) * 3": "9", "cpu/3": "2/3",
		"1Ki": "1024", "0.5Gi": "536870912", "-cpu": "", "max()": "", "": "", "cpu 2": "", "memory": "", "50x": "", "1.2.3%": "", "1e999999999": "", "cpu % 2": "",
		"foo(1)": "", "cpu^2": "", "1/0": "", "cpu/0": "", "1/(cpu-1)": "1", "50m%": "", "010%": "1/10", "max(1, 2, cpu)": "2", "func(){}()": "", "cpu.x": "", `"1"`: "", "max(1...)": "",
	} {
		e, err := parse(text, "cpu")
		got := ""
		if err == nil {
			value, err := e.evaluate(big.NewRat(2, 1))
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			got = value.RatString()
		}
		if got != want {
			t.Errorf("%s: got %q (%v), want %q", text, got, err, want)
		}
	}
}

func TestWhatIsWrongWithAResourcesPolicyIsNamed(t *testing.T) {
	p := read[v1beta1.ResourcesPolicy](t, `{targetContainersMode: sum, targetContainersNameRegex: "(", resourcesExpr: {limits: {cpu: memory, memory: 5x}, requests: {cpu: cpu^2}}}`)
	got := ""
	for _, err := range CheckResources(p, field.NewPath("p")) {
		got += err.Error() + "\n"
	}
	want := `p.targetContainersNameRegex: Invalid value: "(": error parsing regexp: missing closing ): ` + "`^(?:()$`" + `
p.resourcesExpr.limits.cpu: Invalid value: "memory": "memory": memory is unknown: the variable is cpu
p.resourcesExpr.limits.memory: Invalid value: "5x": "5x" is no expression: numbers, quantities, percentages and memory, with + - * /, parentheses, max and min
p.resourcesExpr.requests.cpu: Invalid value: "cpu^2": "cpu^2": the operator ^ is unknown: there are + - * and /
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestARecordThatCannotBeReadIsNamed(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a", Annotations: map[string]string{v1beta1.SidecarSetHashKey: "["}}}
	if _, err := Read(pod); err == nil || !strings.HasPrefix(err.Error(), "pod shop/a: read annotation kruise.io/sidecarset-hash: ") {
		t.Errorf("got %v", err)
	}
}
