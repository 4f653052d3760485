package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"kruise.io/kruise/lab/images"
)

func newLoadImage() *cobra.Command {
	var lab labFlags
	var ref string
	cmd := &cobra.Command{
		Use:   "load-image ARCHIVE...",
		Short: "Put images from archives, as docker save writes them, into the lab's registry",
		Example: `docker save example.com/team/app:v2 --output app.tar
kruise-lab load-image app.tar`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, archives []string) error {
			layout, state, err := lab.load()
			if err != nil {
				return err
			}
			if state.Nodes == 0 {
				return fmt.Errorf("the lab %s has no real nodes and so no registry: simulated nodes pull nothing", state.Name)
			}
			if len(archives) > 1 && ref != "" {
				return fmt.Errorf("--ref %s: it can name one image, and there are %d archives", ref, len(archives))
			}
			for _, archive := range archives {
				pushed, err := images.PushArchive(cmd.Context(), layout.Registry(), archive, ref)
				for _, name := range pushed {
					cmd.Println(name)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	lab.add(cmd)
	cmd.Flags().StringVar(&ref, "ref", "", "name for the image, instead of the one in the archive")
	return cmd
}
