package architecture

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// BrokenLinks reads every page below root, and returns a sentence for each link to a file that is not there. A link whose text
// begins with Test names a test of the file, and with a slash behind it one of its cases: both must be there.
func BrokenLinks(root fs.FS) ([]string, error) {
	var broken []string
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return skip(root, name)
		case path.Ext(name) != ".md":
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		for _, link := range links(string(text)) {
			wrong, err := link.wrong(root, path.Dir(name))
			if err != nil {
				return err
			}
			if wrong != "" {
				broken = append(broken, fmt.Sprintf("%s: [%s](%s): %s", name, link.text, link.target, wrong))
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading pages: %w", err)
	}
	return broken, nil
}

type link struct{ text, target string }

// links are the links of a page to files of the repository.
func links(page string) (out []link) {
	page = regexp.MustCompile("(?s:```.*?\n```)|`[^`\n]*`").ReplaceAllString(page, "")
	for _, found := range regexp.MustCompile(`\[([^\]]*)\]\(([^()\s]+)\)`).FindAllStringSubmatch(page, -1) {
		target, _, _ := strings.Cut(found[2], "#")
		if target != "" && !strings.Contains(target, ":") {
			out = append(out, link{text: found[1], target: target})
		}
	}
	return out
}

// wrong says what is wrong with a link in a page of a folder; nothing when it is right.
func (l link) wrong(root fs.FS, dir string) (string, error) {
	target := path.Join(dir, l.target)
	if _, err := fs.Stat(root, target); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return "there is no such file", nil
	} else if err != nil {
		return "", err
	}
	if !strings.HasPrefix(l.text, "Test") || path.Ext(target) != ".go" {
		return "", nil
	}
	code, err := fs.ReadFile(root, target)
	if err != nil {
		return "", err
	}
	test, example, hasExample := strings.Cut(l.text, "/")
	switch {
	case !strings.Contains(string(code), "\nfunc "+test+"(t *testing.T) {"):
		return "the file has no test " + test, nil
	case hasExample && !strings.Contains(string(code), fmt.Sprintf("%q", example)):
		return fmt.Sprintf("the file has no case %q", example), nil
	}
	return "", nil
}
