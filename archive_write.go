package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// archiveWriter adds parts to an archive.
type archiveWriter struct {
	folder   string
	partSize int64
	manifest *manifest
	written  []byte    // the manifest as it is on disk, empty if there is none
	all      hash.Hash // over all lines
	progress *progress
	open     *openPart // the part that is being written, nil if there is none
}

// openArchive makes the folder, or opens one with an export and checks all that it holds. It
// removes what an export that was killed has left. The error tells what stands in the way.
func openArchive(ctx context.Context, folder, base string) (*archiveWriter, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	x := &archiveWriter{folder: folder}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	m, err := readManifest(folder)
	known := map[string]bool{manifestName: true}
	switch {
	case err == nil:
		if m.BaseURL != base {
			return nil, fmt.Errorf("%s was exported with the FHIR base %s, and now it is %s; set AFTERCARE_BASE_URL, or use a new folder", folder, m.BaseURL, base)
		}
		for _, p := range m.Parts {
			known[p.File] = true
		}
	case errors.Is(err, fs.ErrNotExist):
		m = nil
	default:
		return nil, err
	}
	for _, e := range entries {
		leftover := ours.MatchString(e.Name()) && (m != nil || strings.HasSuffix(e.Name(), unfinished))
		if !known[e.Name()] && (!leftover || !e.Type().IsRegular()) {
			return nil, fmt.Errorf("%s holds %s, which is not of an export; use a folder that is empty or new", folder, e.Name())
		}
	}
	for _, e := range entries {
		if !known[e.Name()] {
			if err := os.Remove(filepath.Join(folder, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	if m != nil {
		if x.all, err = m.check(ctx, folder); err != nil {
			return nil, err
		}
		x.manifest = m
		x.written, err = m.seal()
		return x, err
	}
	x.all = sha256.New()
	x.manifest = &manifest{
		Format: archiveFormat, FormatVersion: archiveVersion, FHIRVersion: archiveFHIR,
		BaseURL: base, SHA256: hex.EncodeToString(x.all.Sum(nil)), Parts: []part{},
	}
	return x, x.save(false)
}

// openPart is a part that is being written.
type openPart struct {
	part
	file *os.File
	w    *bufio.Writer
	hash hash.Hash
}

// add writes the line of a version.
func (x *archiveWriter) add(position int64, line []byte) error {
	if n := bytes.IndexByte(line, '\n'); n != len(line)-1 {
		return fmt.Errorf("the version at position %d has a line feed, and cannot be exported as a line", position)
	}
	if x.open != nil && x.open.Bytes+int64(len(line)) > x.partSize {
		if err := x.finish(); err != nil {
			return err
		}
	}
	if x.open == nil {
		o := &openPart{part: part{File: fmt.Sprintf("part-%06d.ndjson", len(x.manifest.Parts)+1), First: position}, hash: sha256.New()}
		var err error
		if o.file, err = os.CreateTemp(x.folder, o.File+".*"+unfinished); err != nil { // with mode 0600
			return err
		}
		o.w = bufio.NewWriterSize(o.file, 1<<20)
		x.open = o
	}
	o := x.open
	o.hash.Write(line)
	x.all.Write(line)
	o.Versions++
	o.Bytes += int64(len(line))
	o.Last = position
	_, err := o.w.Write(line)
	x.progress.add(1)
	return err
}

// finish makes the open part count.
func (x *archiveWriter) finish() error {
	o := x.open
	if err := errors.Join(o.w.Flush(), o.file.Sync(), o.file.Close()); err != nil {
		return err
	}
	if err := x.alone(); err != nil {
		return err
	}
	path := filepath.Join(x.folder, o.File)
	if err := os.Rename(o.file.Name(), path); err != nil {
		return err
	}
	x.open = nil
	o.SHA256 = hex.EncodeToString(o.hash.Sum(nil))
	x.manifest.Parts = append(x.manifest.Parts, o.part)
	x.manifest.Versions += o.Versions
	x.manifest.SHA256 = hex.EncodeToString(x.all.Sum(nil))
	if err := x.save(false); err != nil {
		return err
	}
	x.progress.tell(o.File + " is written: ")
	return nil
}

// alone refuses to go on if something else has written to the folder.
func (x *archiveWriter) alone() error {
	on, err := os.ReadFile(filepath.Join(x.folder, manifestName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !bytes.Equal(on, x.written) {
		return fmt.Errorf("%s was changed meanwhile; is another export writing to it?", filepath.Join(x.folder, manifestName))
	}
	return nil
}

// discard removes a part that could not be finished.
func (x *archiveWriter) discard() error {
	if x.open == nil {
		return nil
	}
	x.open.file.Close()
	return os.Remove(x.open.file.Name())
}

// save replaces the manifest.
func (x *archiveWriter) save(complete bool) error {
	x.manifest.Complete, x.manifest.Software = complete, versionName()
	text, err := x.manifest.seal()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(x.folder, manifestName+".*"+unfinished)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := x.alone(); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), filepath.Join(x.folder, manifestName)); err != nil {
		return err
	}
	x.written = text
	return syncFolder(x.folder)
}

// syncFolder makes the names of a folder's files durable.
func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
