package architecture

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Rules is what ARCHITECTURE.md demands.
type Rules struct {
	Folders []Folder
	// Never are packages and functions that no folder uses.
	Never []Name
	// OnlyIn maps a folder to what is used there and nowhere else.
	OnlyIn map[string][]Name
	// BadPackageNames say nothing about what is inside.
	BadPackageNames []string
	// Neighbours maps a root folder to those of its subfolders that the other subfolders may import.
	Neighbours map[string][]string
	Lines      Lines
}

// Lines are the longest sizes allowed.
type Lines struct {
	Function, TestFunction, File, TestFile int
}

// Folder is what a root folder may use.
type Folder struct {
	Name string
	// Ours are the root folders, or folders below them, that it may import; nil stands for all.
	Ours []string
	// Others are path prefixes of third parties it may import; nil stands for all.
	Others []string
	// Never are packages and functions that it must not use.
	Never []Name
}

// Name is a package, with all packages below it, or one function or type of a package.
type Name struct {
	Package string
	Symbol  string
}

func (n Name) String() string {
	if n.Symbol == "" {
		return n.Package
	}
	return n.Package + "." + n.Symbol
}

const (
	anyCell  = "any"
	noneCell = "none"
)

// ReadRules reads the tables of ARCHITECTURE.md. A table or a row that it does not understand is an error, so that no
// rule is lost by a slip of the pen.
func ReadRules(markdown string) (*Rules, error) {
	rules := &Rules{Neighbours: map[string][]string{}, OnlyIn: map[string][]Name{}}
	seen := map[string]bool{}
	for _, table := range tables(markdown) {
		header, rows := strings.Join(table[0], "|"), table[2:]
		var read func([]string) error
		switch header {
		case "Folder|What it is|Ours|Others|Never":
			read = rules.readFolder
		case "Rule|Value":
			read = rules.readRule
		default:
			return nil, fmt.Errorf("a table with the columns %s: expected Folder, What it is, Ours, Others, Never or Rule, Value", header)
		}
		seen[header] = true
		for _, row := range rows {
			if len(row) != len(table[0]) {
				return nil, fmt.Errorf("row %q has %d cells, its table has %d columns", row, len(row), len(table[0]))
			}
			if err := read(row); err != nil {
				return nil, fmt.Errorf("row %q: %w", row[0], err)
			}
		}
	}
	if len(seen) != 2 || rules.Lines.Function*rules.Lines.TestFunction*rules.Lines.File*rules.Lines.TestFile == 0 {
		return nil, fmt.Errorf("the table of folders, the table of rules or one of the sizes is missing")
	}
	return rules, nil
}

func (r *Rules) readFolder(row []string) error {
	folder := Folder{Name: strings.Trim(row[0], "`"), Never: names(row[4])}
	var err error
	if folder.Ours, err = list(row[2]); err != nil {
		return fmt.Errorf("column Ours: %w", err)
	}
	if folder.Others, err = list(row[3]); err != nil {
		return fmt.Errorf("column Others: %w", err)
	}
	r.Folders = append(r.Folders, folder)
	return nil
}

func (r *Rules) readRule(row []string) error {
	sizes := map[string]*int{
		"lines in a function, at most":           &r.Lines.Function,
		"lines in a function of a test, at most": &r.Lines.TestFunction,
		"lines in a file, at most":               &r.Lines.File,
		"lines in a test file, at most":          &r.Lines.TestFile,
	}
	if size, ok := sizes[row[0]]; ok {
		var err error
		*size, err = strconv.Atoi(row[1])
		return err
	}
	quoted := backquoted(row[0])
	switch {
	case row[0] == "never used anywhere":
		r.Never = names(row[1])
	case strings.HasPrefix(row[0], "used only in ") && len(quoted) == 1:
		r.OnlyIn[quoted[0]] = names(row[1])
	case row[0] == "folders that are no package name":
		r.BadPackageNames = backquoted(row[1])
	case strings.HasPrefix(row[0], "neighbours in ") && len(quoted) == 1:
		r.Neighbours[quoted[0]] = backquoted(row[1])
	default:
		return fmt.Errorf("no such rule is known")
	}
	return nil
}

// tables returns the cells of every table: its header, its line of dashes and its rows.
func tables(markdown string) [][][]string {
	var found [][][]string
	var current [][]string
	for line := range strings.Lines(markdown + "\n\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "|") {
			var cells []string
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				cells = append(cells, strings.TrimSpace(cell))
			}
			current = append(current, cells)
			continue
		}
		if len(current) > 1 {
			found = append(found, current)
		}
		current = nil
	}
	return found
}

// list reads a cell that names prefixes: nil for "any", an empty list for "none".
func list(cell string) ([]string, error) {
	switch cell {
	case anyCell:
		return nil, nil
	case noneCell:
		return []string{}, nil
	}
	found := backquoted(cell)
	if len(found) == 0 {
		return nil, fmt.Errorf("%q is neither any, none nor a list of names in backquotes", cell)
	}
	return found, nil
}

func backquoted(cell string) []string {
	var found []string
	for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
		found = append(found, match[1])
	}
	return found
}

// names tells functions from packages: the name of a function ends in a dot and an exported identifier.
func names(cell string) []Name {
	symbol := regexp.MustCompile(`^(.+)\.([A-Z]\w*)$`)
	var found []Name
	for _, text := range backquoted(cell) {
		if match := symbol.FindStringSubmatch(text); match != nil {
			found = append(found, Name{Package: match[1], Symbol: match[2]})
			continue
		}
		found = append(found, Name{Package: text})
	}
	return found
}
