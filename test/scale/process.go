package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of processor time in /proc, the same on every Linux.
const tick = 10 * time.Millisecond

// cpuOf is the processor time that a process has used so far.
func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, fmt.Errorf("reading the processor time of process %d: %w", pid, err)
	}
	return parseCPU(string(text))
}

// parseCPU reads /proc/PID/stat. The name of the program stands in brackets and may hold blanks; user and system time are
// the 12th and 13th field after it.
func parseCPU(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("reading the processor time: %q has too few fields", stat)
	}
	var sum time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the processor time: %w", err)
		}
		sum += time.Duration(ticks) * tick
	}
	return sum, nil
}

// cpuOfAll is cpuOf for several processes.
func cpuOfAll(pids map[string]int) (map[string]time.Duration, error) {
	out := make(map[string]time.Duration, len(pids))
	for name, pid := range pids {
		cpu, err := cpuOf(pid)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = cpu
	}
	return out, nil
}

// forgetPeak makes the kernel measure the peak of a process's memory anew.
func forgetPeak(pid int) error {
	if err := os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "clear_refs"), []byte("5"), 0); err != nil {
		return fmt.Errorf("resetting the peak memory of process %d: %w", pid, err)
	}
	return nil
}

// peakOf is the most memory that a process had resident since forgetPeak, in bytes.
func peakOf(pid int) (int64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	return kilobytes(string(text), "VmHWM:")
}

// kilobytes finds a line such as "VmHWM:  1024 kB" and returns its bytes.
func kilobytes(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == name {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("reading %s: %w", name, err)
			}
			return n * 1024, nil
		}
	}
	return 0, fmt.Errorf("reading %s: there is no such line", name)
}

// machineFacts describe the machine for the report, as far as it tells.
func machineFacts() string {
	facts := []string{fmt.Sprintf("%d cores", runtime.NumCPU())}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		if total, err := kilobytes(string(text), "MemTotal:"); err == nil {
			facts = append(facts, fmt.Sprintf("%.0f GiB of memory", float64(total)/(1<<30)))
		}
	}
	if model := processorModel(); model != "" {
		facts = append(facts, model)
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err == nil {
		facts = append(facts, "Linux "+unix.ByteSliceToString(name.Release[:]))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ := strings.Cut(string(text), " ")
		facts = append(facts, "load by others at the start "+load)
		if n, err := strconv.ParseFloat(load, 64); err == nil && n > float64(runtime.NumCPU())/4 {
			facts = append(facts, "**so it was busy with other things: counts are right, times mean nothing**")
		}
	}
	return strings.Join(facts, ", ")
}

func processorModel() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// commit names the state of the working copy.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
