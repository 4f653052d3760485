package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	// inotifyInstances bounds the watchers of files that all processes of a user have together. Components of
	// Kubernetes have about ten on each node, and the usual limit of 128 stops the twelfth node of a machine.
	inotifyInstances = "/proc/sys/fs/inotify/max_user_instances"
	enoughInstances  = 8192
)

// raised remembers what a setting of the host was before labs raised it.
type raised struct {
	Was int `json:"was"`
	Set int `json:"set"`
}

// raiseLimit raises a setting of the host that is too low for labs and remembers what it was.
func raiseLimit(ctx context.Context, home, setting string) error {
	unlock, err := lockFile(ctx, claimsLock(home))
	if err != nil {
		return err
	}
	defer unlock()
	was, err := readLimit(setting)
	if err != nil || was >= enoughInstances {
		return err
	}
	data, err := json.Marshal(raised{Was: was, Set: enoughInstances})
	if err != nil {
		return fmt.Errorf("remembering a limit of the host: %w", err)
	}
	// First the note, then the change: an interruption between them is harmless.
	if err := write(limitFile(home), data); err != nil {
		return err
	}
	return writeLimit(setting, enoughInstances)
}

// restoreLimit puts the setting back when no lab needs it any more and nobody else has changed it since.
func restoreLimit(ctx context.Context, home, setting string) error {
	unlock, err := lockFile(ctx, claimsLock(home))
	if err != nil {
		return err
	}
	defer unlock()
	data, err := os.ReadFile(limitFile(home))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading a limit that the host had: %w", err)
	}
	for index := range labs {
		owner, err := Load(claimedBy(home, index))
		if err == nil && owner.Running() {
			return nil
		}
	}
	var note raised
	if err := json.Unmarshal(data, &note); err != nil {
		return fmt.Errorf("reading a limit that the host had: %w", err)
	}
	now, err := readLimit(setting)
	if err != nil {
		return err
	}
	if now == note.Set {
		if err := writeLimit(setting, note.Was); err != nil {
			return err
		}
	}
	if err := os.Remove(limitFile(home)); err != nil {
		return fmt.Errorf("forgetting a limit that the host had: %w", err)
	}
	return nil
}

func limitFile(home string) string { return filepath.Join(home, ".claims", "inotify.json") }

func readLimit(setting string) (int, error) {
	data, err := os.ReadFile(setting)
	if err != nil {
		return 0, fmt.Errorf("reading a limit of the host: %w", err)
	}
	value, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0, fmt.Errorf("reading the limit %s of the host: %w", setting, err)
	}
	return value, nil
}

func writeLimit(setting string, value int) error {
	if err := os.WriteFile(setting, []byte(strconv.Itoa(value)), 0o600); err != nil {
		return fmt.Errorf("setting the limit %s of the host to %d: %w", setting, value, err)
	}
	return nil
}
