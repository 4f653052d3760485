package program

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
)

func TestFlagsOfOtherProgramsAreAcceptedAndSaidToDoNothing(t *testing.T) {
	options := NewOptions("localhost:1")
	cmd := Command(Program{
		Name:    "demo-manager",
		Options: &options,
		Flags:   func(*pflag.FlagSet) {},
		Ignored: []IgnoredFlag{{Name: "allow-privileged", Bool: true, Why: "x"}, {Name: "old-workers", Why: "x"}},
	}, func(string) string { return "" })
	if err := cmd.ParseFlags([]string{"--allow-privileged", "--old-workers", "7"}); err != nil {
		t.Fatal(err)
	}
	if args := cmd.Flags().Args(); len(args) != 0 || !cmd.Flags().Changed("allow-privileged") || !cmd.Flags().Changed("old-workers") {
		t.Errorf("what is left is %q", args)
	}
	if strings.Contains(cmd.UsageString(), "old-workers") {
		t.Error("the usage speaks of a flag that does nothing")
	}
}

func TestRequestsAreNotThrottledUnlessAskedForAndNameTheProgram(t *testing.T) {
	config := &rest.Config{QPS: 5}
	o := NewOptions("localhost:1")
	if c := o.Configure(config, "demo"); c.QPS != -1 || !strings.HasPrefix(c.UserAgent, "demo/") || config.QPS != 5 {
		t.Errorf("%+v", c)
	}
	o.QPS, o.Burst = 30, 50
	if c := o.Configure(config, "demo"); c.QPS != 30 || c.Burst != 50 {
		t.Errorf("%+v", c)
	}
}
