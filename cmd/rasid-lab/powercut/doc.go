// Package powercut cuts the power of a real file system under a real store and looks
// for everything that was shown to anyone.
//
// The file system is ext4 on a loop device over memory. A writer, this program
// again as a process of its own, opens the store there, commits, ingests what the
// rig sends it as a neighbour would, and tells over a pipe what it showed. At a
// random moment the rig shuts the file system down without flushing its log, which
// leaves the device as a power cut does, kills the writer, mounts the device anew
// and starts the next writer, which first tells all that it holds. A writer may also
// be killed without a cut before, so that the page cache holds what the disk does
// not. The rig keeps its own account of what was shown and trusts no writer.
//
// Nothing is left behind, however the rig ends: the image is anonymous memory, the
// mount has no name in the file tree, the loop device is let go of with its last
// user, and a writer ends when the rig's end of its pipes is gone.
package powercut
