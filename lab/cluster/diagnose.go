package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// diagnose says which programs of a lab do not stay up, and what each of them said last. It says nothing when all are
// well, or when nobody waited long enough to tell.
func diagnose(ctx context.Context, l Layout, state State) string {
	if ctx.Err() != nil {
		return ""
	}
	components, err := Components(l, state)
	if err != nil {
		return ""
	}
	var said strings.Builder
	for _, c := range components {
		// A program that was started a moment ago, in a lab that has been waiting for minutes, was started again.
		if c.PID != 0 && c.Age > 10*time.Second {
			continue
		}
		fmt.Fprintf(&said, "\n%s does not stay up; its log ends with: %s", c.Name, lastLine(l.Log(c.Name)))
	}
	return said.String()
}

// lastLine returns the last line of a file that may be long.
func lastLine(path string) string {
	const enough = 4096
	file, err := os.Open(path)
	if err != nil {
		return "(there is none)"
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() > enough {
		if _, err := file.Seek(-enough, io.SeekEnd); err != nil {
			return "(it cannot be read)"
		}
	}
	tail, err := io.ReadAll(file)
	if err != nil {
		return "(it cannot be read)"
	}
	tail = bytes.TrimSpace(tail)
	return string(tail[bytes.LastIndexByte(tail, '\n')+1:])
}
