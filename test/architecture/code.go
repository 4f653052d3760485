package architecture

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"
)

// Code is every Go file of a module.
type Code struct {
	// Module is the module path.
	Module string
	Files  []*File
	fset   *token.FileSet
}

// File is one parsed Go file.
type File struct {
	// Path is relative to the root of the module.
	Path string
	*ast.File
	// Imports maps the name under which the file knows a package to the path of the package.
	Imports   map[string]string
	Test      bool
	Generated bool
	lines     int
}

// Folder is the root folder of the file, Dir its folder.
func (f *File) Folder() string {
	folder, _, _ := strings.Cut(f.Path, "/")
	return folder
}

// Dir is the folder of the file, relative to the root of the module.
func (f *File) Dir() string { return path.Dir(f.Path) }

// Load parses the Go files below root. It leaves out what belongs to another module and what the go command leaves
// out: testdata, and names that begin with a dot or an underscore.
func Load(root fs.FS, module string) (*Code, error) {
	code := &Code{Module: module, fset: token.NewFileSet()}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(root, name)
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		return code.add(root, name)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the code: %w", err)
	}
	return code, nil
}

func skip(root fs.FS, dir string) error {
	if dir == "." {
		return nil
	}
	base := path.Base(dir)
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	_, err := fs.Stat(root, path.Join(dir, "go.mod"))
	if err == nil {
		return fs.SkipDir
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (c *Code) add(root fs.FS, name string) error {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(c.fset, name, text, parser.ParseComments)
	if err != nil {
		return err
	}
	file := &File{
		Path: name, File: parsed, Imports: map[string]string{},
		Test: strings.HasSuffix(name, "_test.go"), Generated: ast.IsGenerated(parsed),
		lines: strings.Count(string(text), "\n"),
	}
	for _, spec := range parsed.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		local := path.Base(imported)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		if local == "_" || local == "." {
			local += imported
		}
		file.Imports[local] = imported
	}
	c.Files = append(c.Files, file)
	return nil
}

// place names a position as editors do.
func (c *Code) place(node ast.Node) string {
	position := c.fset.Position(node.Pos())
	return fmt.Sprintf("%s:%d", position.Filename, position.Line)
}
