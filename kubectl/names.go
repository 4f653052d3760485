package kubectl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kruise.io/kruise/api/apps/v1beta1"
)

// nameOf reads which CloneSet is meant: KIND/NAME, KIND NAME, as kubectl takes them.
func nameOf(args []string) (string, error) {
	const usage = "name one CloneSet: cloneset/NAME, or cloneset NAME"
	var kind, name string
	switch len(args) {
	case 1:
		var ok bool
		if kind, name, ok = strings.Cut(args[0], "/"); !ok {
			return "", fmt.Errorf("%q names no object: %s", args[0], usage)
		}
	case 2:
		kind, name = args[0], args[1]
	default:
		return "", fmt.Errorf("%d arguments: %s", len(args), usage)
	}
	if !isCloneSet(kind) {
		return "", fmt.Errorf("%q is no kind that this command knows: %s", kind, usage)
	}
	if name == "" || strings.Contains(name, "/") {
		return "", fmt.Errorf("%q is no name: %s", name, usage)
	}
	return name, nil
}

// isCloneSet says whether a word names the kind, with or without its group and version.
func isCloneSet(kind string) bool {
	word, group, qualified := strings.Cut(strings.ToLower(kind), ".")
	if qualified && group != v1beta1.GroupVersion.Group && group != v1beta1.GroupVersion.Version+"."+v1beta1.GroupVersion.Group {
		return false
	}
	return slices.Contains([]string{"cloneset", "clonesets", "clone"}, word)
}

// complete completes the names of CloneSets. What goes wrong on the way leaves the shell without a proposal.
func (p *plugin) complete(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	kind, name, slash := strings.Cut(typed, "/")
	prefix := kind + "/"
	switch {
	case len(args) == 1 && isCloneSet(args[0]) && !strings.Contains(args[0], "/"):
		name, prefix = typed, ""
	case len(args) > 0 || slash && !isCloneSet(kind):
		return nil, cobra.ShellCompDirectiveNoFileComp
	case !slash:
		const word = "cloneset"
		if !strings.HasPrefix(word, kind) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		name, prefix = "", word+"/"
	}
	cluster, namespace, err := p.cluster()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names, err := cluster.Names(cmd.Context(), namespace, name)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for i := range names {
		names[i] = prefix + names[i]
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
