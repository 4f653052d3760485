package sidecar

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/big"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// expression is a formula over one variable: numbers, quantities (50m, 200Mi), percentages (50%), the variable, + - * /,
// parentheses, max(a, b, ...) and min(a, b, ...). It is exact: no fraction is lost before the end.
type expression struct {
	root     ast.Expr
	variable string
}

// literal finds numbers with what is glued to them. What is no quantity and no percentage is left to be refused.
var literal = regexp.MustCompile(`[0-9][0-9.]*(Ki|Mi|Gi|Ti|Pi|Ei|[munkMGTPE])?%?`)

// parse reads an expression. Its errors say what is wrong with it.
func parse(text, variable string) (*expression, error) {
	var wrong error
	plain := literal.ReplaceAllStringFunc(text, func(word string) string {
		number, err := plainNumber(word)
		wrong = errors.Join(wrong, err)
		return number
	})
	if wrong != nil {
		return nil, wrong
	}
	root, err := parser.ParseExpr(plain)
	if err != nil {
		return nil, fmt.Errorf("%q is no expression: numbers, quantities, percentages and %s, with + - * /, parentheses, max and min", text, variable)
	}
	e := &expression{root: root, variable: variable}
	// Only a division can fail for one value and not for another.
	if _, err = e.evaluate(big.NewRat(1, 1)); errors.Is(err, errDivision) {
		_, err = e.evaluate(big.NewRat(7, 3))
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	return e, nil
}

// plainNumber writes a quantity or a percentage as a number that Go's parser reads.
func plainNumber(word string) (string, error) {
	digits, isPercentage := strings.CutSuffix(word, "%")
	quantity, err := resource.ParseQuantity(digits)
	switch {
	case err != nil || isPercentage && !isDecimal(digits):
		return "", fmt.Errorf("%q is no number, no quantity and no percentage", word)
	case isPercentage:
		return "(" + quantity.AsDec().String() + "/100)", nil
	default:
		return quantity.AsDec().String(), nil
	}
}

func isDecimal(text string) bool { return strings.Trim(text, "0123456789.") == "" }

// usesVariable says whether the value depends on the variable.
func (e *expression) usesVariable() bool {
	used := false
	ast.Inspect(e.root, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		used = used || ok && id.Name == e.variable
		return true
	})
	return used
}

var errDivision = errors.New("division by 0")

// evaluate computes the value for a value of the variable.
func (e *expression) evaluate(value *big.Rat) (*big.Rat, error) { return e.of(e.root, value) }

func (e *expression) of(n ast.Expr, value *big.Rat) (*big.Rat, error) {
	switch n := n.(type) {
	case *ast.BasicLit:
		if isDecimal(n.Value) { // an exponent could make a number that fills the memory
			if number, ok := new(big.Rat).SetString(n.Value); ok {
				return number, nil
			}
		}
	case *ast.Ident:
		if n.Name == e.variable {
			return value, nil
		}
		return nil, fmt.Errorf("%s is unknown: the variable is %s", n.Name, e.variable)
	case *ast.ParenExpr:
		return e.of(n.X, value)
	case *ast.BinaryExpr:
		return e.binary(n, value)
	case *ast.CallExpr:
		return e.call(n, value)
	}
	return nil, fmt.Errorf("numbers, quantities, percentages and %s are allowed, with + - * /, parentheses, max and min", e.variable)
}

func (e *expression) binary(n *ast.BinaryExpr, value *big.Rat) (*big.Rat, error) {
	x, err := e.of(n.X, value)
	if err != nil {
		return nil, err
	}
	y, err := e.of(n.Y, value)
	if err != nil {
		return nil, err
	}
	switch n.Op {
	case token.ADD:
		return new(big.Rat).Add(x, y), nil
	case token.SUB:
		return new(big.Rat).Sub(x, y), nil
	case token.MUL:
		return new(big.Rat).Mul(x, y), nil
	case token.QUO:
		if y.Sign() == 0 {
			return nil, errDivision
		}
		return new(big.Rat).Quo(x, y), nil
	default:
		return nil, fmt.Errorf("the operator %s is unknown: there are + - * and /", n.Op)
	}
}

func (e *expression) call(n *ast.CallExpr, value *big.Rat) (*big.Rat, error) {
	function, ok := n.Fun.(*ast.Ident)
	if !ok || function.Name != "max" && function.Name != "min" || n.Ellipsis.IsValid() {
		return nil, errors.New("the functions are max and min")
	}
	if len(n.Args) == 0 {
		return nil, fmt.Errorf("%s() needs a value", function.Name)
	}
	var best *big.Rat
	for _, arg := range n.Args {
		x, err := e.of(arg, value)
		if err != nil {
			return nil, err
		}
		if best == nil || function.Name == "max" && x.Cmp(best) > 0 || function.Name == "min" && x.Cmp(best) < 0 {
			best = x
		}
	}
	return best, nil
}
