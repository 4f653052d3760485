package serve

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"kruise.io/kruise/kit/program"
)

// Program is a component as a command line sees it.
type Program struct {
	// Name and Short are told by --help; Name also names the component.
	Name, Short string
	// Ignored are flags that are accepted and do nothing.
	Ignored []program.IgnoredFlag
	// Flags adds the component's own flags.
	Flags func(*pflag.FlagSet)
	// Component makes the component once all flags are read. Name is filled in by the command.
	Component func(ctx context.Context) (Component, error)
}

// Command makes the command of a component. Options that come from the environment are read through getenv.
func Command(p Program, getenv func(string) string) (*cobra.Command, error) {
	options, err := NewOptions(p.Name, getenv)
	if err != nil {
		return nil, err
	}
	return program.Command(program.Program{
		Name: p.Name, Short: p.Short, Ignored: p.Ignored,
		Options:  &options.Options,
		Validate: options.Validate,
		Flags: func(flags *pflag.FlagSet) {
			options.AddFlags(flags)
			p.Flags(flags)
		},
		Run: func(ctx context.Context, config *rest.Config) error {
			component, err := p.Component(ctx)
			if err != nil {
				return err
			}
			component.Name = p.Name
			return Run(ctx, config, component, options)
		},
	}, getenv), nil
}
