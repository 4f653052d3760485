package kubectl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kruise.io/kruise/kubectl/kinds"
)

// usage says how objects are named.
func usage() string {
	var words []string
	for _, k := range kinds.All() {
		words = append(words, k.Word)
	}
	return "name one object as KIND/NAME, or KIND NAME; the kinds are " + strings.Join(words, ", ")
}

// nameOf reads which workload is meant: KIND/NAME, KIND NAME, as kubectl takes them.
func nameOf(args []string) (*kinds.Kind, string, error) {
	var word, name string
	switch len(args) {
	case 1:
		var ok bool
		if word, name, ok = strings.Cut(args[0], "/"); !ok {
			return nil, "", fmt.Errorf("%q names no object: %s", args[0], usage())
		}
	case 2:
		word, name = args[0], args[1]
	default:
		return nil, "", fmt.Errorf("%d arguments: %s", len(args), usage())
	}
	kind := kinds.Called(word)
	if kind == nil {
		return nil, "", unknown(word)
	}
	if name == "" || strings.Contains(name, "/") {
		return nil, "", fmt.Errorf("%q is no name: %s", name, usage())
	}
	return kind, name, nil
}

// unknown says that a word names no kind of ours. Some name one of Kubernetes.
func unknown(word string) error {
	for _, k := range kinds.All() {
		if slices.Contains(k.Native, strings.ToLower(word)) {
			return fmt.Errorf("%q is a kind of Kubernetes itself; that of kruise is %s", word, k.Word)
		}
	}
	return fmt.Errorf("%q is no kind that this command knows: %s", word, usage())
}

// complete completes kinds and the names of their objects. What goes wrong on the way leaves the shell without a proposal.
func (p *plugin) complete(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	word, name, slash := strings.Cut(typed, "/")
	prefix := word + "/"
	var kind *kinds.Kind
	switch {
	case len(args) == 1 && !strings.Contains(args[0], "/"):
		kind, name, prefix = kinds.Called(args[0]), typed, ""
	case len(args) > 0:
	case slash:
		kind = kinds.Called(word)
	default:
		var words []string
		for _, k := range kinds.All() {
			if strings.HasPrefix(k.Word, word) {
				words = append(words, k.Word+"/")
			}
		}
		if len(words) != 1 {
			return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		prefix = words[0]
		kind = kinds.Called(strings.TrimSuffix(prefix, "/"))
	}
	if kind == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cluster, namespace, err := p.cluster()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names, err := cluster.Names(cmd.Context(), kind, namespace, name)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for i := range names {
		names[i] = prefix + names[i]
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
