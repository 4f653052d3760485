package progress

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// lines hands every written line to a channel, so that a test can wait for one.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- strings.TrimSpace(string(p))
	return len(p), nil
}

func TestALongStepSaysThatItStillGoesOn(t *testing.T) {
	out := make(lines, 100)
	r := New(out)
	r.heartbeat = time.Millisecond
	release := make(chan struct{})
	finished := make(chan error)
	go func() { finished <- r.Do("building etcd", func() error { <-release; return nil }) }()
	for _, want := range []string{"building etcd ...", "so far"} {
		for line := range out {
			if strings.Contains(line, want) {
				break
			}
		}
	}
	close(release)
	go func() {
		for range out { // nobody may be blocked by a full channel
			continue
		}
	}()
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
}

func TestAStepThatFailsSaysSoAndReturnsItsError(t *testing.T) {
	var out strings.Builder
	boom := errors.New("boom")
	if err := New(&out).Do("building etcd", func() error { return boom }); !errors.Is(err, boom) {
		t.Fatalf("got %v, want the error of the step", err)
	}
	if !strings.Contains(out.String(), "building etcd: failed after") {
		t.Fatalf("the failure is not reported: %q", out.String())
	}
}

func TestDurationsAreShortToRead(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1234 * time.Millisecond:   "1.2s",
		123456 * time.Millisecond: "2m3s",
	} {
		if got := Round(d).String(); got != want {
			t.Errorf("Round(%d) = %s, want %s", d, got, want)
		}
	}
}
