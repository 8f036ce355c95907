package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// Damage flips single bits in the files that a glob matches, and says which.
func Damage(pick *rand.Rand, glob string, flips int) (did []string, err error) {
	files, err := filepath.Glob(glob)
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(name string) bool {
		info, err := os.Stat(name)
		return err != nil || info.Size() == 0
	})
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: there is nothing to damage", glob)
	}
	for range flips {
		what, err := flip(pick, files[pick.IntN(len(files))])
		if err != nil {
			return did, err
		}
		did = append(did, what)
	}
	return did, nil
}

func flip(pick *rand.Rand, name string) (string, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	at, bit := pick.IntN(len(content)), pick.IntN(8)
	content[at] ^= 1 << bit
	// In place: the file keeps its inode and its length, as a disk that fails would leave it.
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	_, err = f.WriteAt(content[at:at+1], int64(at))
	return fmt.Sprintf("bit %d of byte %d of %d in %s", bit, at, len(content), tail(name)), err
}

// Truncate cuts the last of the files that a glob matches, by a part between a tenth and a half.
func Truncate(pick *rand.Rand, glob string) (did string, err error) {
	files, err := filepath.Glob(glob)
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("%s: there is nothing to cut", glob)
	}
	name := files[len(files)-1]
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	size := info.Size() - info.Size()/10 - int64(pick.Float64()*0.4*float64(info.Size()))
	return fmt.Sprintf("%s cut from %d to %d bytes", tail(name), info.Size(), size), os.Truncate(name, size)
}

func tail(name string) string {
	return filepath.Join(filepath.Base(filepath.Dir(name)), filepath.Base(name))
}
