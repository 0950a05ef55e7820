package tree

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Height is that of tiles: a whole one has 256 hashes.
const Height = 8

// Width is how many hashes a whole tile has.
const Width = 1 << Height

// Tile is the hashes of a part of a tree: of level 0 those of leaves, of the next level those of the
// tiles below, and so on. The last tile of a level may have fewer than Width.
type Tile struct {
	Level int
	N     int64
	Data  []byte // 32 bytes for each hash
}

// Source gives the data of a stored tile, or more of it. The error says that it is not there.
type Source func(level int, n int64) ([]byte, error)

// Hashes reads the hashes of a tree from its tiles. All that it gives is proven to be in the tree with
// that root; the error says otherwise.
func Hashes(size int64, root Hash, source Source) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, &tiles{source: source, read: map[place][]byte{}})
}

type place struct {
	level int
	n     int64
}

// tiles is a source with memory, for one tree.
type tiles struct {
	source Source
	read   map[place][]byte
}

func (t *tiles) Height() int { return Height }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(wanted))
	for i, w := range wanted {
		at := place{w.L, w.N}
		data, ok := t.read[at]
		if !ok {
			var err error
			if data, err = t.source(w.L, w.N); err != nil {
				return nil, err
			}
			t.read[at] = data
		}
		if len(data) < w.W*tlog.HashSize {
			return nil, fmt.Errorf("tile %d of level %d of the tree has %d bytes, and is to have %d", w.N, w.L, len(data), w.W*tlog.HashSize)
		}
		out[i] = data[:w.W*tlog.HashSize]
	}
	return out, nil
}

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// Grow adds leaves to a tree of a size and with a root. It gives the new root, and the tiles that are new
// or have grown.
func Grow(size int64, root Hash, source Source, leaves []Hash) (Hash, []Tile, error) {
	if len(leaves) == 0 {
		return root, nil, nil
	}
	g := &growing{old: Hashes(size, root, source), added: map[int64]Hash{}}
	for i, leaf := range leaves {
		n := size + int64(i)
		hashes, err := tlog.StoredHashesForRecordHash(n, leaf, g)
		if err != nil {
			return Hash{}, nil, err
		}
		first := tlog.StoredHashIndex(0, n)
		for j, h := range hashes {
			g.added[first+int64(j)] = h
		}
	}
	grown := size + int64(len(leaves))
	var out []Tile
	for _, t := range tlog.NewTiles(Height, size, grown) {
		data, err := tlog.ReadTileData(t, g)
		if err != nil {
			return Hash{}, nil, err
		}
		out = append(out, Tile{t.L, t.N, data})
	}
	now, err := tlog.TreeHash(grown, g)
	return now, out, err
}

// growing is the hashes of a tree while leaves are added.
type growing struct {
	old   tlog.HashReader
	added map[int64]Hash
}

func (g *growing) ReadHashes(indexes []int64) ([]Hash, error) {
	out := make([]Hash, len(indexes))
	var missing []int64
	for i, index := range indexes {
		h, ok := g.added[index]
		if out[i] = h; !ok {
			missing = append(missing, index)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	found, err := g.old.ReadHashes(missing)
	if err != nil {
		return nil, err
	}
	for i, index := range indexes {
		if _, ok := g.added[index]; !ok {
			out[i], found = found[0], found[1:]
		}
	}
	if len(found) > 0 {
		return nil, errors.New("tree: more hashes than were asked for")
	}
	return out, nil
}

// Run is a tree that leaves are added to one after the other, of which no more is kept than what its
// root is made of. The zero value has no leaf.
type Run struct {
	size int64
	// whole are the roots of whole subtrees, the largest first: one for each bit of size.
	whole []Hash
}

// Add adds a leaf.
func (r *Run) Add(leaf Hash) {
	for n := r.size; n&1 == 1; n >>= 1 {
		last := len(r.whole) - 1
		leaf = tlog.NodeHash(r.whole[last], leaf)
		r.whole = r.whole[:last]
	}
	r.whole = append(r.whole, leaf)
	r.size++
}

// Size is how many leaves there are.
func (r *Run) Size() int64 { return r.size }

// Root is that of the tree, of zeros without a leaf.
func (r *Run) Root() (root Hash) {
	for i := len(r.whole) - 1; i >= 0; i-- {
		if i == len(r.whole)-1 {
			root = r.whole[i]
		} else {
			root = tlog.NodeHash(r.whole[i], root)
		}
	}
	return root
}

// Tiler makes the tiles of a tree that leaves are added to one after the other. The zero value has no
// leaf.
type Tiler struct{ levels []Tile }

// Add adds a leaf, and gives the tiles that are whole now, the lowest first.
func (t *Tiler) Add(leaf Hash) (whole []Tile) {
	for level := 0; ; level++ {
		if level == len(t.levels) {
			t.levels = append(t.levels, Tile{Level: level})
		}
		at := &t.levels[level]
		at.Data = append(at.Data, leaf[:]...)
		if len(at.Data) < Width*tlog.HashSize {
			return whole
		}
		whole = append(whole, *at)
		leaf = rootOf(at.Data)
		*at = Tile{Level: level, N: at.N + 1}
	}
}

// Rest are the tiles that are not whole.
func (t *Tiler) Rest() (rest []Tile) {
	for _, at := range t.levels {
		if len(at.Data) > 0 {
			rest = append(rest, at)
		}
	}
	return rest
}

// rootOf is the root of a whole tile.
func rootOf(data []byte) Hash {
	var run Run
	for ; len(data) > 0; data = data[tlog.HashSize:] {
		run.Add(Hash(data[:tlog.HashSize]))
	}
	return run.Root()
}
