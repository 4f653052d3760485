package architecture_test

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"kruise.io/kruise/test/architecture"
)

func TestPagesLinkToWhatIsThere(t *testing.T) {
	broken, err := architecture.BrokenLinks(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Error(b)
	}
}

func TestALinkThatLeadsNowhereIsFound(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	got, err := architecture.BrokenLinks(fstest.MapFS{
		"README.md": file("[docs](docs/page.md), [a part](docs/page.md#part), [the same page](#here), [elsewhere](https://example.com/x.md)\n" +
			"`[no](link.md)`\n```\n[nor](this.md)\n```\n[gone](docs/gone.md)\n"),
		"docs/page.md":  file("[TestItIs](../it_test.go) [TestItIs/at noon](../it_test.go) [TestItIs/at night](../it_test.go) [TestItWas](../it_test.go) [outside](../../x.md)\n"),
		"it_test.go":    file("package it\n\nfunc TestItIs(t *testing.T) {\n\tt.Run(\"at noon\", nil)\n}\n"),
		"testdata/x.md": file("[gone](gone.md)"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`README.md: [gone](docs/gone.md): there is no such file`,
		`docs/page.md: [TestItIs/at night](../it_test.go): the file has no case "at night"`,
		`docs/page.md: [TestItWas](../it_test.go): the file has no test TestItWas`,
		`docs/page.md: [outside](../../x.md): there is no such file`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
