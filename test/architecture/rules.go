package architecture

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// Check returns a sentence for each place in the code that breaks a rule, in order.
func Check(rules *Rules, code *Code) []string {
	var found []string
	for _, file := range code.Files {
		folder := rules.folder(file.Folder())
		if folder == nil {
			found = append(found, fmt.Sprintf("%s: the root folder %s is not in the table of ARCHITECTURE.md", file.Path, file.Folder()))
			continue
		}
		found = append(found, checkImports(rules, folder, file, code.Module)...)
		found = append(found, checkNever(rules, folder, file, code)...)
		found = append(found, checkName(rules, file)...)
		if !file.Generated {
			found = append(found, checkSizes(rules.Lines, file, code)...)
		}
	}
	found = append(found, checkPackageComments(code)...)
	found = append(found, checkVariables(code)...)
	slices.Sort(found)
	return slices.Compact(found)
}

func (r *Rules) folder(name string) *Folder {
	for i := range r.Folders {
		if r.Folders[i].Name == name {
			return &r.Folders[i]
		}
	}
	return nil
}

// below tells whether an import path is a prefix itself or lies below it.
func below(imported, prefix string) bool {
	return imported == prefix || strings.HasPrefix(imported, prefix+"/")
}

func belowAny(imported string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return below(imported, prefix) })
}

// standard tells whether an import path is of the standard library: its first element has no dot.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

func checkImports(rules *Rules, folder *Folder, file *File, module string) []string {
	var found []string
	for _, imported := range file.Imports {
		ours, isOurs := strings.CutPrefix(imported, module+"/")
		switch {
		case isOurs:
			found = append(found, checkOurs(rules, folder, file, ours)...)
		case standard(imported) || folder.Others == nil || file.Test:
		case !belowAny(imported, folder.Others):
			found = append(found, fmt.Sprintf("%s: %s must not import %s: the table allows only %s",
				file.Path, folder.Name, imported, strings.Join(folder.Others, ", ")))
		}
	}
	return found
}

func checkOurs(rules *Rules, folder *Folder, file *File, imported string) []string {
	target, rest, _ := strings.Cut(imported, "/")
	if target == folder.Name {
		return checkNeighbours(rules, folder, file, rest)
	}
	allowed := folder.Ours == nil || belowAny(imported, folder.Ours) ||
		file.Test && (target == "test" || target == "lab")
	if allowed {
		return nil
	}
	return []string{fmt.Sprintf("%s: %s must not import %s (%s)", file.Path, folder.Name, target, imported)}
}

// checkNeighbours looks at an import from one subfolder of a root folder to another, or to the root folder itself. The
// root folder itself may import all of them: it holds the list.
func checkNeighbours(rules *Rules, folder *Folder, file *File, rest string) []string {
	shared, ruled := rules.Neighbours[folder.Name]
	inside := strings.TrimPrefix(strings.TrimPrefix(file.Dir(), folder.Name), "/")
	if !ruled || inside == "" {
		return nil
	}
	from, _, _ := strings.Cut(inside, "/")
	to, _, _ := strings.Cut(rest, "/")
	if from == to || slices.Contains(shared, to) {
		return nil
	}
	return []string{fmt.Sprintf("%s: %s/%s must not import its neighbour %s: it may import only %s of them",
		file.Path, folder.Name, from, path.Join(folder.Name, to), strings.Join(shared, ", "))}
}

func checkNever(rules *Rules, folder *Folder, file *File, code *Code) []string {
	never := slices.Clone(rules.Never)
	for only, names := range rules.OnlyIn {
		if !below(file.Dir(), only) {
			never = append(never, names...)
		}
	}
	if !file.Test {
		never = append(never, folder.Never...)
	}
	var found []string
	for local, imported := range file.Imports {
		for _, name := range never {
			switch {
			case name.Symbol == "" && below(imported, name.Package):
				found = append(found, fmt.Sprintf("%s: %s must not import %s", file.Path, folder.Name, imported))
			case name.Symbol != "" && imported == name.Package && !begins(name, file):
				found = append(found, uses(file, code, local, name)...)
			}
		}
	}
	return found
}

// begins tells whether a file is the place where a context may begin: a command.
func begins(name Name, file *File) bool {
	return name.Package == "context" && name.Symbol == "Background" && file.Name.Name == "main"
}

// uses finds where a file speaks of a symbol of a package that it knows by the name local.
func uses(file *File, code *Code, local string, name Name) []string {
	var found []string
	ast.Inspect(file.File, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok || selector.Sel.Name != name.Symbol {
			return true
		}
		if of, ok := selector.X.(*ast.Ident); ok && of.Name == local && of.Obj == nil {
			found = append(found, fmt.Sprintf("%s: %s must not use %s", code.place(selector), file.Folder(), name))
		}
		return true
	})
	return found
}

func checkName(rules *Rules, file *File) []string {
	for _, name := range []string{path.Base(file.Dir()), strings.TrimSuffix(file.Name.Name, "_test")} {
		if slices.Contains(rules.BadPackageNames, name) {
			return []string{fmt.Sprintf("%s: a package named %s says nothing: name it after what it does", file.Dir(), name)}
		}
	}
	return nil
}

func checkSizes(limits Lines, file *File, code *Code) []string {
	inFunction, inFile := limits.Function, limits.File
	if file.Test {
		inFunction, inFile = limits.TestFunction, limits.TestFile
	}
	var found []string
	if file.lines > inFile {
		found = append(found, fmt.Sprintf("%s: %d lines, %d are allowed", file.Path, file.lines, inFile))
	}
	for _, decl := range file.Decls {
		function, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		first, last := code.fset.Position(function.Pos()).Line, code.fset.Position(function.End()).Line
		if last-first+1 > inFunction {
			found = append(found, fmt.Sprintf("%s: the function %s has %d lines, %d are allowed",
				code.place(function), function.Name.Name, last-first+1, inFunction))
		}
	}
	return found
}

// checkPackageComments demands a paragraph from every package, in one of its files.
func checkPackageComments(code *Code) []string {
	explained := map[string]bool{}
	for _, file := range code.Files {
		if !file.Test {
			explained[file.Dir()] = explained[file.Dir()] || file.Doc.Text() != ""
		}
	}
	var found []string
	for dir, ok := range explained {
		if !ok {
			found = append(found, fmt.Sprintf("%s: no file of this package says what the package promises", dir))
		}
	}
	return found
}
