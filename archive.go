package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// An archive is a folder with every version of every resource of a site, in the order of
// commits: parts, which are ndjson files with one version a line (see appendVersion), and a
// manifest that names them. What the manifest does not name does not count.
const (
	manifestName  = "manifest.json"
	archiveFormat = "aftercare-archive"
	archiveFHIR   = "4.0.1"
	// archiveVersion goes up when an older program could not load what a newer one writes.
	archiveVersion = 1
	// unfinished ends the name of a file that is being written.
	unfinished = ".unfinished"
)

// ours are the names of the files that an export makes and may replace.
var ours = regexp.MustCompile(`^(part-\d{6,}\.ndjson|(part-\d{6,}\.ndjson|manifest\.json)\..*\` + unfinished + `)$`)

// manifest is the content of manifest.json.
type manifest struct {
	Format        string `json:"format"`
	FormatVersion int    `json:"formatVersion"`
	FHIRVersion   string `json:"fhirVersion"`
	// Software is the version of the program that wrote the archive last.
	Software string `json:"software"`
	// BaseURL is the FHIR base of the site, with which every fullUrl begins.
	BaseURL string `json:"baseUrl"`
	// Complete tells that the archive ends where the database ended, not where the export was
	// interrupted.
	Complete bool `json:"complete"`
	// Versions is the number of lines of all parts, and SHA256 the hash over all their bytes
	// one after the other: cat part-*.ndjson | sha256sum.
	Versions int64  `json:"versions"`
	SHA256   string `json:"sha256"`
	Parts    []part `json:"parts"`
	// Seal is the SHA-256 of this file with an empty seal. It shows an edit that was made by
	// accident; it is no signature.
	Seal string `json:"seal"`
}

// part is one file of an archive.
type part struct {
	File     string `json:"file"`
	Versions int64  `json:"versions"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`
	// First and Last are positions in the order of commits of the database that was exported.
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// last is the position of the newest version in the archive, 0 if it has none.
func (m *manifest) last() int64 {
	if len(m.Parts) == 0 {
		return 0
	}
	return m.Parts[len(m.Parts)-1].Last
}

// seal gives the manifest as it is written.
func (m manifest) seal() ([]byte, error) {
	m.Seal = ""
	open, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	m.Seal = sum(open)
	sealed, err := json.MarshalIndent(m, "", "  ")
	return append(sealed, '\n'), err
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// readManifest reads the manifest of a folder, and refuses one that was changed by anything
// but an export. The error is fs.ErrNotExist if the folder has none.
func readManifest(folder string) (*manifest, error) {
	path := filepath.Join(folder, manifestName)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var kind struct {
		Format        string `json:"format"`
		FormatVersion int    `json:"formatVersion"`
	}
	if err := json.Unmarshal(text, &kind); err != nil || kind.Format != archiveFormat {
		return nil, fmt.Errorf("%s is not the manifest of an export", path)
	}
	if kind.FormatVersion != archiveVersion {
		return nil, fmt.Errorf("%s has format version %d and this program knows version %d; use the program that made it, or a newer one", path, kind.FormatVersion, archiveVersion)
	}
	m := &manifest{}
	err = json.Unmarshal(text, m)
	if err == nil {
		var again []byte
		if again, err = m.seal(); err == nil && !bytes.Equal(text, again) {
			err = errors.New("its seal does not fit its content")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s was changed after it was written: %w", path, err)
	}
	return m, nil
}

// check reads all parts and compares them with the manifest. It returns the hash over all of
// them, to which an export can add. The error names the file that is not as it was written.
func (m *manifest) check(ctx context.Context, folder string) (hash.Hash, error) {
	all := sha256.New()
	var versions int64
	for _, p := range m.Parts {
		if err := p.check(ctx, folder, all); err != nil {
			return nil, err
		}
		versions += p.Versions
	}
	if versions != m.Versions || hex.EncodeToString(all.Sum(nil)) != m.SHA256 {
		return nil, fmt.Errorf("%s: its totals are not those of its parts", filepath.Join(folder, manifestName))
	}
	return all, nil
}

func (p part) check(ctx context.Context, folder string, all hash.Hash) error {
	if filepath.Base(p.File) != p.File || !ours.MatchString(p.File) {
		return fmt.Errorf("%s names a part %q, which no export makes", filepath.Join(folder, manifestName), p.File)
	}
	path := filepath.Join(folder, p.File)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing", path)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	own := sha256.New()
	var lines, size int64
	buffer := make([]byte, 1<<20)
	for {
		n, err := f.Read(buffer)
		own.Write(buffer[:n])
		all.Write(buffer[:n])
		size += int64(n)
		lines += int64(bytes.Count(buffer[:n], []byte{'\n'}))
		if err == io.EOF {
			break
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	switch {
	case size < p.Bytes:
		return fmt.Errorf("%s is cut short: it has %d bytes of %d", path, size, p.Bytes)
	case size != p.Bytes || lines != p.Versions || hex.EncodeToString(own.Sum(nil)) != p.SHA256:
		return fmt.Errorf("%s was changed after it was written: its SHA-256 is not that of the manifest", path)
	}
	return nil
}

// archiveLines reads the lines of all parts in order.
type archiveLines struct {
	folder string
	parts  []part // those not opened yet
	file   *os.File
	r      *bufio.Reader
	number int // of the line read last, in file
}

// next gives a line without its end. The error is io.EOF after the last.
func (l *archiveLines) next() ([]byte, error) {
	for {
		if l.file == nil {
			if len(l.parts) == 0 {
				return nil, io.EOF
			}
			f, err := os.Open(filepath.Join(l.folder, l.parts[0].File))
			if err != nil {
				return nil, err
			}
			l.file, l.r, l.number, l.parts = f, bufio.NewReaderSize(f, 1<<20), 0, l.parts[1:]
		}
		line, err := l.r.ReadBytes('\n')
		switch {
		case err == nil:
			l.number++
			return line[:len(line)-1], nil
		case err != io.EOF:
			return nil, err
		case len(line) > 0:
			return nil, fmt.Errorf("%s ends in the middle of a line", l.file.Name())
		}
		if err := l.close(); err != nil {
			return nil, err
		}
	}
}

// place names the line read last.
func (l *archiveLines) place() string {
	if l.file == nil {
		return l.folder
	}
	return fmt.Sprintf("%s: line %d", l.file.Name(), l.number)
}

func (l *archiveLines) close() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
