package fold

import (
	"slices"
	"unsafe"
)

const (
	chunkWords = 1024
	chunkCells = 256
)

// arena keeps the last values of distributions: cells of equal width share a chunk, so a cell costs neither a header nor a rounding up
// by the allocator, and the garbage collector has nothing to scan.
type arena struct {
	chunks []chunk
	empty  []uint32         // chunk ids that can be used again
	room   map[int][]uint32 // by width, the chunks with free cells
	bytes  int
}

type chunk struct {
	words       []uint64
	width, live int
	used        int    // cells that were ever given out
	free        uint32 // the first free cell plus one; its first word is the next one
}

func (c *chunk) full() bool { return c.free == 0 && (c.used+1)*c.width > len(c.words) }

func cellsPerChunk(width int) int { return min(max(chunkWords/width, 1), chunkCells) }

// alloc gives a cell, its words undefined, unless that takes more than budget bytes.
func (a *arena) alloc(width, budget int) (uint32, bool) {
	room := a.room[width]
	if len(room) == 0 {
		words := cellsPerChunk(width) * width
		cost := 8*words + int(unsafe.Sizeof(chunk{}))
		if cost > budget || len(a.chunks) >= 1<<24 {
			return 0, false
		}
		id := uint32(len(a.chunks))
		if n := len(a.empty); n > 0 {
			id, a.empty = a.empty[n-1], a.empty[:n-1]
		} else {
			a.chunks = append(a.chunks, chunk{})
		}
		a.chunks[id] = chunk{words: make([]uint64, words), width: width}
		a.bytes += cost
		if a.room == nil {
			a.room = map[int][]uint32{}
		}
		room = append(room, id)
		a.room[width] = room
	}
	id := room[len(room)-1]
	c := &a.chunks[id]
	cell := uint32(c.used)
	if c.free > 0 {
		cell = c.free - 1
		c.free = uint32(c.words[int(cell)*width])
	} else {
		c.used++
	}
	c.live++
	if c.full() {
		a.room[width] = room[:len(room)-1]
	}
	return id*chunkCells + cell, true
}

func (a *arena) at(cell uint32) []uint64 {
	c := &a.chunks[cell/chunkCells]
	i := int(cell%chunkCells) * c.width
	return c.words[i : i+c.width : i+c.width]
}

func (a *arena) release(cell uint32) {
	id := cell / chunkCells
	c := &a.chunks[id]
	if c.full() {
		a.room[c.width] = append(a.room[c.width], id)
	}
	a.at(cell)[0] = uint64(c.free)
	c.free = cell%chunkCells + 1
	c.live--
	if c.live > 0 {
		return
	}
	// Give the memory back, or one width would keep another from growing for ever.
	a.bytes -= 8*len(c.words) + int(unsafe.Sizeof(chunk{}))
	room := a.room[c.width]
	i := slices.Index(room, id)
	if room = slices.Delete(room, i, i+1); len(room) == 0 {
		delete(a.room, c.width)
	} else {
		a.room[c.width] = room
	}
	*c = chunk{}
	a.empty = append(a.empty, id)
}
