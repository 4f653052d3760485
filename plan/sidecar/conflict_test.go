package sidecar

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

func TestWhatContradictsAnotherSetIsNamed(t *testing.T) {
	other := set(t, "other", `{volumes: [{name: logs, emptyDir: {}}], containers: [{name: log}, {name: mesh, upgradeStrategy: {upgradeType: HotUpgrade}}],
		initContainers: [{name: setup}], patchPodMetadata: [{patchPolicy: Overwrite, annotations: {a: x}}, {annotations: {b: x}}]}`)
	elsewhere := set(t, "elsewhere", `{containers: [{name: log}]}`)
	elsewhere.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}
	for name, tc := range map[string]struct{ spec, want string }{
		"nothing":                         {`{containers: [{name: x}], volumes: [{name: logs, emptyDir: {}}]}`, ""},
		"a container":                     {`{containers: [{name: x}, {name: log}]}`, `spec.containers[1].name: "log"`},
		"a twin":                          {`{containers: [{name: mesh-2}]}`, `spec.containers[0].name: "mesh-2"`},
		"twins":                           {`{containers: [{name: mesh, upgradeStrategy: {upgradeType: HotUpgrade}}]}`, `spec.containers[0].name: "mesh-1", spec.containers[0].name: "mesh-2"`},
		"an init container":               {`{initContainers: [{name: log}]}`, `spec.initContainers[0].name: "log"`},
		"a volume that is another":        {`{volumes: [{name: logs, hostPath: {path: /}}]}`, `spec.volumes[logs]: "logs"`},
		"an annotation":                   {`{patchPodMetadata: [{patchPolicy: Overwrite, annotations: {a: y, b: y}}]}`, `spec.patchPodMetadata: "a"`},
		"an annotation with the same":     {`{patchPodMetadata: [{patchPolicy: Overwrite, annotations: {a: x}}]}`, ""},
		"an annotation that is only kept": {`{patchPodMetadata: [{annotations: {a: y}}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := set(t, "s", tc.spec)
			said := func(others ...*v1beta1.SidecarSet) string {
				var out []string
				for _, err := range Conflicts(s, others) {
					if !strings.Contains(err.Detail, "SidecarSet other ") {
						t.Errorf("it does not name the other set: %v", err)
					}
					out = append(out, err.Field+`: "`+err.BadValue.(string)+`"`)
				}
				return strings.Join(out, ", ")
			}
			if got := said(elsewhere, other, s); got != tc.want || said(s, other, elsewhere) != got {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			s.Annotations = map[string]string{v1beta1.SidecarSetCanaryKey: "true", v1beta1.SidecarSetBaseKey: "other"}
			if got := said(other); got != "" {
				t.Errorf("a canary contradicts its base: %s", got)
			}
		})
	}
}
