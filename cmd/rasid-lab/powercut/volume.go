package powercut

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

const (
	volumeBytes = 256 << 20 // anonymous memory; holes take none
	// EXT4_IOC_SHUTDOWN and its flag: stop at once, and do not flush the log.
	ext4Shutdown      = 0x8004587d
	shutdownNoFlush   = 2
	loopReleaseMax    = 5 * time.Second
	loopAttachTries   = 20
	loopControlDevice = "/dev/loop-control"
)

// ErrUnsupported is returned when this machine does not let the rig mount a file
// system: it is not Linux's root, or there are no loop devices.
var ErrUnsupported = errors.New("this machine cannot mount a file system for the rig")

// unsupported marks what a machine refuses for good.
func unsupported(what string, err error) error {
	for _, no := range []error{unix.EPERM, unix.EACCES, unix.ENOENT, unix.ENXIO, unix.ENODEV, unix.ENOSYS} {
		if errors.Is(err, no) {
			return fmt.Errorf("%w: %s: %w", ErrUnsupported, what, err)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// volume is one ext4 file system in memory. It has no name in the file tree: whoever
// has the mount's descriptor can walk it.
type volume struct {
	image *os.File
	mount *os.File // keeps it mounted; nil while it is not
	root  *os.File // its root folder
	inode uint64   // of the image
	loop  string   // the device that it is mounted from
}

// Mount makes an empty ext4 file system of so many bytes in memory and mounts it, until
// done is called; no process may use it any more then. The path leads into it for
// every process of root, as long as this one lives. ErrUnsupported where it cannot.
func Mount(ctx context.Context, bytes int64) (path string, done func() error, err error) {
	v, err := newVolume(ctx, bytes)
	if err != nil {
		return "", nil, err
	}
	return v.path(), v.close, nil
}

// path leads into the volume while it is mounted and this process lives.
func (v *volume) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), v.root.Fd()) }

// newVolume makes and mounts an empty file system.
func newVolume(ctx context.Context, bytes int64) (v *volume, err error) {
	fd, err := unix.MemfdCreate("rasid-powercut", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, unsupported("anonymous memory", err)
	}
	v = &volume{image: os.NewFile(uintptr(fd), "image")}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.close())
			v = nil
		}
	}()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return v, fmt.Errorf("couldn't look at the image: %w", err)
	}
	v.inode = stat.Ino
	if err := v.image.Truncate(bytes); err != nil {
		return v, fmt.Errorf("couldn't size the image: %w", err)
	}
	// The journal is made whole now, so that no lazy initialisation runs beside us.
	mkfs := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=8", "-E", "lazy_itable_init=0,lazy_journal_init=0", "/proc/self/fd/3")
	mkfs.ExtraFiles = []*os.File{v.image}
	if out, err := mkfs.CombinedOutput(); err != nil {
		return v, fmt.Errorf("couldn't make a file system with mkfs.ext4 (Debian package e2fsprogs): %w: %s", err, out)
	}
	return v, v.attach()
}

// attach mounts the image from a fresh loop device, so that nothing of the page
// cache of the one before is seen. Mounting replays the file system's log.
func (v *volume) attach() error {
	loop, err := v.attachLoop()
	if err != nil {
		return err
	}
	defer func() { _ = loop.Close() }() // the mount holds the device; without one it is let go of here
	v.loop = loop.Name()
	fs, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return unsupported("opening ext4", err)
	}
	defer func() { _ = unix.Close(fs) }() // only made the mount
	if err := unix.FsconfigSetString(fs, "source", v.loop); err != nil {
		return unsupported("naming "+v.loop, err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return unsupported("mounting "+v.loop, err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return unsupported("mounting "+v.loop, err)
	}
	v.mount = os.NewFile(uintptr(fd), "the rig's file system")
	if fd, err = unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("couldn't open the file system's root: %w", err)
	}
	v.root = os.NewFile(uintptr(fd), "the rig's root folder")
	return nil
}

// attachLoop finds a free loop device. Others on the machine may take it first.
func (v *volume) attachLoop() (*os.File, error) {
	control, err := os.OpenFile(loopControlDevice, os.O_RDWR, 0)
	if err != nil {
		return nil, unsupported("opening the loop devices", err)
	}
	defer func() { _ = control.Close() }() // nothing was written
	for range loopAttachTries {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, unsupported("finding a loop device", err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, unsupported("opening a loop device", err)
		}
		config := unix.LoopConfig{Fd: uint32(v.image.Fd())}
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		if err == nil {
			return loop, nil
		}
		_ = loop.Close() // never ours
		if !errors.Is(err, unix.EBUSY) {
			return nil, unsupported("setting up "+loop.Name(), err)
		}
	}
	return nil, fmt.Errorf("couldn't get a loop device: all %d tries met a busy one", loopAttachTries)
}

// cut is the power cut: from here on nothing reaches the device, not even what the
// file system has in its log's memory. Every later access fails.
func (v *volume) cut() error {
	if err := unix.IoctlSetPointerInt(int(v.root.Fd()), ext4Shutdown, shutdownNoFlush); err != nil {
		return fmt.Errorf("couldn't shut the file system down: %w", err)
	}
	return nil
}

// detach ends the mount, which no process may use any more, and waits until the
// device is free: mounted from two devices, the image would be destroyed.
func (v *volume) detach() error {
	if v.mount == nil {
		return nil
	}
	var errs []error
	for _, f := range []*os.File{v.root, v.mount} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	v.root, v.mount = nil, nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("couldn't unmount: %w", err)
	}
	for deadline := time.Now().Add(loopReleaseMax); ; time.Sleep(time.Millisecond) {
		ours, err := v.loopIsOurs()
		if err != nil || !ours {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is still busy %v after its file system was unmounted", v.loop, loopReleaseMax)
		}
	}
}

// loopIsOurs reports whether the device still shows our image.
func (v *volume) loopIsOurs() (bool, error) {
	loop, err := os.Open(v.loop)
	if err != nil {
		return false, fmt.Errorf("couldn't look at %s: %w", v.loop, err)
	}
	defer func() { _ = loop.Close() }() // nothing was written
	info, err := unix.IoctlLoopGetStatus64(int(loop.Fd()))
	if errors.Is(err, unix.ENXIO) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("couldn't look at %s: %w", v.loop, err)
	}
	return info.Inode == v.inode, nil
}

// close unmounts and frees the memory.
func (v *volume) close() error {
	return errors.Join(v.detach(), v.image.Close())
}
