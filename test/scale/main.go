// Command scale measures what it costs to create many pods and to change an image in all of them: with a CloneSet, a StatefulSet
// and a DaemonSet, with the workloads of Kubernetes beside them, and with a bare loop that sends a CloneSet's writes and decides
// nothing.
//
// It promises: every figure is counted from outside (pods from a watch, requests from the API server's audit log,
// processor time and memory from /proc), in the same way for all of them; figures are the minimum, the median and the
// maximum of several runs; nothing is asserted about time, so a slow machine gives slow figures and no failure. It runs on
// a lab of its own, with simulated nodes, and removes it at the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

// settings are the flags.
type settings struct {
	pods      []int
	runs      int
	idle      time.Duration
	changes   int
	only      []string
	document  string
	profiles  string
	profiling time.Duration
	lab       string
	simulated int
	pulls     int
	keep      bool
	goBench   bool
	patience  time.Duration
}

func main() {
	ctrl.SetLogger(logr.Discard()) // its caches would complain that nobody set one
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	s, err := parse()
	if err != nil {
		return err
	}
	report := newReport(os.Args[1:], machineFacts())
	err = measureAll(ctx, s, report)
	if err == nil && s.goBench {
		report.goBench, err = goBenchmarks(ctx)
	}
	// What was measured before something failed took long, and is told.
	text := report.markdown()
	fmt.Println(text)
	if err != nil || s.document == "" {
		return err
	}
	return insert(s.document, strings.Join(s.only, ", "), text)
}

func parse() (settings, error) {
	s := settings{}
	pods := flag.String("pods", "500,1000", "numbers of pods to measure with, such as 500,1000,5000")
	only := flag.String("only", "cloneset,deployment,bare", "what is measured, some of "+strings.Join(groups(), ", ")+"; with the last two comes their namesake of Kubernetes")
	flag.IntVar(&s.runs, "runs", 3, "how often everything is measured")
	flag.DurationVar(&s.idle, "idle", 20*time.Second, "how long the standing pods are watched for the cost of doing nothing")
	flag.IntVar(&s.changes, "changes", 2, "how many changes of the image are measured, at most 2; with 0 pods are created and left alone")
	flag.StringVar(&s.document, "write", "", "document whose results of the same -only are replaced, such as docs/benchmarks.md; empty only prints them")
	flag.StringVar(&s.profiles, "profiles", "", "folder for profiles of kruise-manager and the API server; taking them costs time, so the figures are not to be compared")
	flag.DurationVar(&s.profiling, "profile-time", 30*time.Second, "how much of each phase the profiles cover; a shorter phase waits for them")
	flag.StringVar(&s.lab, "lab", "bench", "name of the lab that is brought up and removed; it must not be up already")
	flag.IntVar(&s.simulated, "simulated", 20, "number of simulated nodes, of 1000 pods each at most; for DaemonSets there are as many as pods")
	flag.IntVar(&s.pulls, "pulls", 0, "measure instead, once, so many images that every simulated node pulls ahead of time")
	flag.BoolVar(&s.keep, "keep", false, "leave the lab up at the end")
	flag.BoolVar(&s.goBench, "go-bench", true, "run the Go benchmarks of plan, too")
	flag.DurationVar(&s.patience, "patience", 15*time.Minute, "how long one step may take before the measurement is given up")
	flag.Parse()
	for _, text := range strings.Split(*pods, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000*s.simulated {
			return s, fmt.Errorf("-pods %s: want numbers from 1 to %d, with commas between them", *pods, 1000*s.simulated)
		}
		s.pods = append(s.pods, n)
	}
	s.only = strings.Split(*only, ",")
	for _, group := range s.only {
		if !slices.Contains(groups(), group) {
			return s, fmt.Errorf("-only %s: want some of %s, with commas between them", *only, strings.Join(groups(), ", "))
		}
	}
	if s.runs < 1 {
		return s, fmt.Errorf("-runs %d: want at least 1", s.runs)
	}
	return s, nil
}

// measureAll brings the lab up, measures, and takes it down.
func measureAll(ctx context.Context, s settings, report *report) (err error) {
	l, err := startLab(ctx, s.lab, s.simulated)
	if err != nil {
		return err
	}
	if !s.keep {
		defer func() {
			// The lab must go even after an interrupt.
			err = errors.Join(err, stopLab(context.WithoutCancel(ctx), s.lab))
		}()
	}
	report.versions = l.versions
	b := &bench{settings: s, lab: l, report: report}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	if s.pulls > 0 {
		report.pulls, err = b.measurePulls(ctx)
		return err
	}
	for _, n := range s.pods {
		for i := range s.runs {
			for _, scenario := range scenarios() {
				if !slices.Contains(s.only, scenario.group) {
					continue
				}
				say("%d pods, run %d of %d: %s", n, i+1, s.runs, scenario.name)
				if err := b.measure(ctx, scenario, n); err != nil {
					return fmt.Errorf("%s, %d pods, run %d: %w", scenario.name, n, i+1, err)
				}
			}
		}
	}
	return nil
}

// say tells the person at the terminal how far things are. Standard output is for the results.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}
