package kubectl

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kruise.io/kruise/kubectl/kinds"
)

// usage says how objects are named: those of workloads, and of some kinds more.
func usage(more []*kinds.Kind) string {
	var words []string
	for _, k := range append(kinds.All(), more...) {
		words = append(words, k.Word)
	}
	return "name one object as KIND/NAME, or KIND NAME; the kinds are " + strings.Join(words, ", ")
}

// nameOf reads which object is meant: KIND/NAME, KIND NAME, as kubectl takes them. It is a workload, or of some kinds more.
func nameOf(args []string, more ...*kinds.Kind) (*kinds.Kind, string, error) {
	var word, name string
	switch len(args) {
	case 1:
		var ok bool
		if word, name, ok = strings.Cut(args[0], "/"); !ok {
			return nil, "", fmt.Errorf("%q names no object: %s", args[0], usage(more))
		}
	case 2:
		word, name = args[0], args[1]
	default:
		return nil, "", fmt.Errorf("%d arguments: %s", len(args), usage(more))
	}
	kind := kinds.Called(word, more...)
	if kind == nil {
		return nil, "", unknown(word, more)
	}
	if name == "" || strings.Contains(name, "/") {
		return nil, "", fmt.Errorf("%q is no name: %s", name, usage(more))
	}
	return kind, name, nil
}

// unknown says that a word names no kind of ours. Some name one of Kubernetes.
func unknown(word string, more []*kinds.Kind) error {
	for _, k := range kinds.All() {
		if slices.Contains(k.Native, strings.ToLower(word)) {
			return fmt.Errorf("%q is a kind of Kubernetes itself; that of kruise is %s", word, k.Word)
		}
	}
	if k := kinds.Called(word, kinds.Budgets()); k != nil {
		return fmt.Errorf("a %s has no pods that are rolled out: %s", k.Name, usage(more))
	}
	return fmt.Errorf("%q is no kind that this command knows: %s", word, usage(more))
}

// complete completes kinds, some more than those of workloads, and the names of their objects. What goes wrong on the way leaves the
// shell without a proposal.
func (p *plugin) complete(more ...*kinds.Kind) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		word, name, slash := strings.Cut(typed, "/")
		prefix := word + "/"
		var kind *kinds.Kind
		switch {
		case len(args) == 1 && !strings.Contains(args[0], "/"):
			kind, name, prefix = kinds.Called(args[0], more...), typed, ""
		case len(args) > 0:
		case slash:
			kind = kinds.Called(word, more...)
		default:
			var words []string
			for _, k := range append(kinds.All(), more...) {
				if strings.HasPrefix(k.Word, word) {
					words = append(words, k.Word+"/")
				}
			}
			if len(words) != 1 {
				return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
			}
			prefix = words[0]
			kind = kinds.Called(strings.TrimSuffix(prefix, "/"), more...)
		}
		if kind == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return p.names(cmd.Context(), kind, prefix, name)
	}
}

// names are the names of the objects of a kind that begin as typed, behind a prefix.
func (p *plugin) names(ctx context.Context, kind *kinds.Kind, prefix, typed string) ([]string, cobra.ShellCompDirective) {
	cluster, namespace, err := p.cluster()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names, err := cluster.Names(ctx, kind, namespace, typed)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for i := range names {
		names[i] = prefix + names[i]
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
