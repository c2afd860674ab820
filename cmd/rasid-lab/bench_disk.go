package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fileSystem names the file system that dir lies on, as far as it decides what a sync
// costs.
func fileSystem(dir string) (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("couldn't read what is mounted: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", fmt.Errorf("couldn't look at %s: %w", dir, err)
	}
	kind, device, longest := "unknown", "", 0
	for line := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(line, " - ")
		place, what := strings.Fields(before), strings.Fields(after)
		if len(place) < 5 || len(what) < 1 || len(place[4]) < longest {
			continue
		}
		if rel, err := filepath.Rel(place[4], dir); err == nil && filepath.IsLocal(rel) {
			kind, device, longest = what[0], place[2], len(place[4]) // a later one hides those before
		}
	}
	if kind != ext4 {
		return kind, nil
	}
	link, err := os.Readlink("/sys/dev/block/" + device)
	if err != nil {
		return "", fmt.Errorf("couldn't find the device of %s: %w", dir, err)
	}
	journals, err := filepath.Glob("/proc/fs/jbd2/" + filepath.Base(link) + "-*")
	if err == nil && len(journals) == 0 {
		return ext4Bare, nil
	}
	return ext4, err
}

const (
	ext4     = "ext4"
	ext4Bare = "ext4 without a journal"
)

const benchImageBytes = 1 << 30 // holes take none

// onJournal has measure work in a folder on an ext4 as mkfs.ext4 makes it, from an
// image in dir: there a file that grows costs an entry of the file system's journal at
// each sync, as on any machine in the field. It needs root, a loop device, and
// mkfs.ext4, mount and umount.
func onJournal(ctx context.Context, dir string, measure func(dir string) error) (err error) {
	image, mnt := filepath.Join(dir, "image"), filepath.Join(dir, "mounted")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := errors.Join(os.Truncate(image, benchImageBytes), os.Mkdir(mnt, 0o700)); err != nil {
		return err
	}
	run := func(ctx context.Context, name string, args ...string) error {
		if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", name, err, out)
		}
		return nil
	}
	if err := run(ctx, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image); err != nil {
		return err
	}
	if err := run(ctx, "mount", "-o", "loop", image, mnt); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run(context.WithoutCancel(ctx), "umount", mnt), os.Remove(image)) }()
	return measure(mnt)
}
