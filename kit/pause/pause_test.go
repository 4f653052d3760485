package pause

import (
	"testing"
	"time"
)

func TestPausesGrowWithEachFailureAndBeginAnewAfterALongTime(t *testing.T) {
	p, now := New(time.Second, 4*time.Second), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if !p.Until("a").IsZero() {
		t.Errorf("what never failed has a pause until %s", p.Until("a"))
	}
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second} {
		p.Failed("a", now)
		if got := p.Until("a").Sub(now); got != want {
			t.Errorf("a pause of %s, want %s", got, want)
		}
		now = p.Until("a")
	}
	p.Failed("b", now)
	if got := p.Until("b").Sub(now); got != time.Second {
		t.Errorf("the first pause of another thing is %s", got)
	}
	now = now.Add(time.Minute)
	p.Failed("c", now)
	if !p.Until("a").IsZero() || !p.Until("b").IsZero() {
		t.Error("what has not failed for long is not forgotten")
	}
	p.Failed("a", now)
	if got := p.Until("a").Sub(now); got != time.Second {
		t.Errorf("the first pause after a long time is %s", got)
	}
}
