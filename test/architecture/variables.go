package architecture

import (
	"fmt"
	"go/ast"
	"go/token"
)

// checkVariables finds state at package level: variables that are changed after their declaration, and variables whose
// only use is to be changed (locks, channels, counters). A table that is only read is fine.
func checkVariables(code *Code) []string {
	variables := map[string]map[string]bool{}
	for _, file := range code.Files {
		if variables[file.Dir()] == nil {
			variables[file.Dir()] = map[string]bool{}
		}
		for _, name := range declared(file) {
			variables[file.Dir()][name] = true
		}
	}
	var found []string
	for _, file := range code.Files {
		if file.Generated || declaresTestMain(file) {
			continue
		}
		found = append(found, checkStateful(file, code)...)
		found = append(found, checkChanges(file, code, variables[file.Dir()])...)
	}
	return found
}

// declaresTestMain says whether a file holds TestMain, which has no other way to hand what it started to the tests.
func declaresTestMain(file *File) bool {
	return file.Test && file.Scope.Lookup("TestMain") != nil
}

// specs returns the declarations of package-level variables.
func specs(file *File) []*ast.ValueSpec {
	var found []*ast.ValueSpec
	for _, decl := range file.Decls {
		if decl, ok := decl.(*ast.GenDecl); ok && decl.Tok == token.VAR {
			for _, spec := range decl.Specs {
				if spec, ok := spec.(*ast.ValueSpec); ok {
					found = append(found, spec)
				}
			}
		}
	}
	return found
}

func declared(file *File) []string {
	var names []string
	for _, spec := range specs(file) {
		for _, name := range spec.Names {
			if name.Name != "_" {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

// checkStateful finds variables that hold nothing but state: of a type of sync or sync/atomic, a channel, or a map that
// begins empty.
func checkStateful(file *File, code *Code) []string {
	var found []string
	for _, spec := range specs(file) {
		stateful := spec.Type != nil && isState(file, spec.Type)
		for _, value := range spec.Values {
			stateful = stateful || isState(file, value)
		}
		if stateful {
			found = append(found, fmt.Sprintf("%s: the package-level variable %s is state: make it a field", code.place(spec), spec.Names[0].Name))
		}
	}
	return found
}

func isState(file *File, expr ast.Expr) bool {
	switch expr := expr.(type) {
	case *ast.ChanType:
		return true
	case *ast.SelectorExpr:
		of, ok := expr.X.(*ast.Ident)
		return ok && below(file.Imports[of.Name], "sync")
	case *ast.StarExpr:
		return isState(file, expr.X)
	case *ast.UnaryExpr:
		return isState(file, expr.X)
	case *ast.CompositeLit:
		return expr.Type != nil && isState(file, expr.Type)
	case *ast.IndexExpr:
		return isState(file, expr.X)
	case *ast.CallExpr:
		function, ok := expr.Fun.(*ast.Ident)
		return ok && function.Name == "make"
	}
	return false
}

// checkChanges finds assignments to package-level variables, to their fields and elements, and the taking of their
// address.
func checkChanges(file *File, code *Code, variables map[string]bool) []string {
	var found []string
	report := func(expr ast.Expr) {
		if name := base(expr); name != nil && variables[name.Name] && isPackageLevel(file, name) {
			found = append(found, fmt.Sprintf("%s: the package-level variable %s is changed after its declaration", code.place(expr), name.Name))
		}
	}
	ast.Inspect(file.File, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.AssignStmt:
			if node.Tok != token.DEFINE {
				for _, target := range node.Lhs {
					report(target)
				}
			}
		case *ast.IncDecStmt:
			report(node.X)
		case *ast.UnaryExpr:
			if node.Op == token.AND {
				report(node.X)
			}
		}
		return true
	})
	return found
}

// base returns the variable at the root of an expression such as a.b[c].
func base(expr ast.Expr) *ast.Ident {
	switch expr := expr.(type) {
	case *ast.Ident:
		return expr
	case *ast.SelectorExpr:
		return base(expr.X)
	case *ast.IndexExpr:
		return base(expr.X)
	case *ast.StarExpr:
		return base(expr.X)
	case *ast.ParenExpr:
		return base(expr.X)
	}
	return nil
}

// isPackageLevel tells a package-level variable from a local one of the same name. The parser resolves what is declared
// in the file; what it leaves open is declared in another file of the package.
func isPackageLevel(file *File, name *ast.Ident) bool {
	if _, imported := file.Imports[name.Name]; imported {
		return false
	}
	if name.Obj == nil {
		return true
	}
	for _, spec := range specs(file) {
		if name.Obj.Decl == spec {
			return true
		}
	}
	return false
}
