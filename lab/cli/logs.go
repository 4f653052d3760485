package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newLogs() *cobra.Command {
	var lab labFlags
	var follow bool
	cmd := &cobra.Command{
		Use:     "logs COMPONENT",
		Short:   "Print the log of a component, such as kube-apiserver or kubelet-node-1",
		Example: "kruise-lab logs kubelet-node-1 --follow",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			layout, _, err := lab.load()
			if err != nil {
				return err
			}
			file, err := os.Open(layout.Log(filepath.Base(args[0])))
			if errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("there is no component %q: the components with logs are %s", args[0], strings.Join(components(layout.Log("*")), ", "))
			}
			if err != nil {
				return fmt.Errorf("opening the log of %s: %w", args[0], err)
			}
			defer func() { _ = file.Close() }()
			return copyLog(cmd.Context(), cmd.OutOrStdout(), file, follow)
		},
	}
	lab.add(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on printing what is written")
	return cmd
}

// copyLog copies what the log has, and with follow also what is added to it until ctx is done.
func copyLog(ctx context.Context, out io.Writer, log io.Reader, follow bool) error {
	for {
		if _, err := io.Copy(out, log); err != nil {
			return fmt.Errorf("printing the log: %w", err)
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// components returns the names of the files that a pattern of logs matches.
func components(pattern string) []string {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil // A folder with brackets in its name: there is nothing to suggest then.
	}
	var names []string
	for _, path := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".log"))
	}
	return names
}
