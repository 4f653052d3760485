// Command generate finishes what controller-gen began: it puts CRDs and roles into the chart, as the chart needs them,
// and writes the reference pages. Run it through make generate.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	crds := flag.String("crds", "", "folder of the CRDs that controller-gen wrote")
	rbac := flag.String("rbac", "", "folder of the roles that controller-gen wrote, in a folder for each program")
	flag.Parse()
	if err := run(*crds, *rbac); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(crdDir, rbacDir string) error {
	const (
		chart     = "deploy/chart"
		reference = "docs/reference"
	)
	crds, err := readDocuments(crdDir)
	if err != nil {
		return err
	}
	for _, crd := range crds {
		if err := finishCRD(crd); err != nil {
			return err
		}
		if err := writeYAML(filepath.Join(chart, "files/crds", crdFile(crd)), crd); err != nil {
			return err
		}
	}
	for program, files := range ruleFiles() {
		roles, err := readDocuments(filepath.Join(rbacDir, program))
		if err != nil {
			return err
		}
		if err := writeRules(filepath.Join(chart, "files/rbac"), roles, files); err != nil {
			return fmt.Errorf("the roles of %s: %w", program, err)
		}
	}
	if err := writeAPIReference(filepath.Join(reference, "api.md"), crds); err != nil {
		return err
	}
	return writeValuesReference(filepath.Join(reference, "values.md"), chart)
}
