package check

// Volume is the file system that a directory is on.
type Volume struct {
	Size, Free int64  // bytes; free for this process
	Ephemeral  string // what kind it is, when a restart of the container or of the machine empties it
}
