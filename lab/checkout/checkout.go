// Package checkout finds the working copy of this repository at run time. The lab builds its parts and the images of
// the product from source, and the nested modules that pin the parts cannot be embedded into a binary. So it promises
// either the folder that holds the repository's go.mod or an error that says where it looked.
package checkout

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
)

// Module is the path of the module at the root of the repository.
const Module = "kruise.io/kruise"

// Root returns the absolute path of the working copy: the first folder with the repository's go.mod, looking upwards
// from the current folder and then from the folder of the running program.
func Root() (string, error) {
	var looked []string
	if cwd, err := os.Getwd(); err == nil {
		looked = append(looked, cwd)
	}
	if exe, err := os.Executable(); err == nil {
		looked = append(looked, filepath.Dir(exe))
	}
	for _, start := range looked {
		if root, ok := above(start); ok {
			return root, nil
		}
	}
	return "", fmt.Errorf("no working copy of %s at or above %s: run this from inside the repository, whose nested modules pin what is built",
		Module, strings.Join(looked, " or "))
}

// above walks from a folder towards the root of the file system.
func above(dir string) (string, bool) {
	for {
		if data, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && modfile.ModulePath(data) == Module {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}
