package install

import (
	"strings"
	"text/template"
)

// Tour says where the commands to try next find what they need.
type Tour struct {
	// Kubeconfig of the cluster.
	Kubeconfig string
	// Programs is a folder with kubectl, for machines that have none of their own; may be empty.
	Programs string
}

const (
	// manifest is the workload to try, seen from the root of the project.
	manifest = "docs/tasks/upgrade-in-place/cloneset.yaml"
	// oldImage is its image there.
	oldImage = "openkruise-registry.cn-shanghai.cr.aliyuncs.com/openkruise/demo:1.10.2"
	// newImage is what it is updated to.
	newImage = "openkruise-registry.cn-shanghai.cr.aliyuncs.com/openkruise/demo:1.10.3"
)

const next = `
kruise-manager is ready. To try it, paste from here:

  export KUBECONFIG={{.Kubeconfig}}
{{- with .Programs}}
  export PATH={{.}}:$PATH
{{- end}}

  # Five pods, within seconds
  kubectl create -f {{.Manifest}}
  kubectl get pod -o wide
  kubectl get clone

  # A new image, in place: watch the names and addresses stay and only the container restart (end with Ctrl-C)
  kubectl patch clone demo-clone --type=json \
    -p '[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "{{.Image}}"}]'
  kubectl get pod -o wide --watch

  # How far it is
  kubectl get clone demo-clone
  kubectl describe clone demo-clone

  # What it waits for, if it does; and what another image would do (kubectl kruise, once bin is in the PATH)
  bin/kubectl-kruise explain clone/demo-clone
  bin/kubectl-kruise plan clone/demo-clone --set-image guestbook={{.OldImage}}

  # More pods, fewer pods, none
  kubectl scale clone demo-clone --replicas=8
  kubectl scale clone demo-clone --replicas=3
  kubectl delete clone demo-clone
`

// Next are the commands to try after an installation, ready to paste in the root of the project.
func Next(tour Tour) (string, error) {
	page, err := template.New("next").Parse(next)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	err = page.Execute(&text, struct {
		Tour
		Manifest, Image, OldImage string
	}{tour, manifest, newImage, oldImage})
	return text.String(), err
}
