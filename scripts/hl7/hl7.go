// Package hl7 gives the generators the official FHIR R4 packages (licence CC0), from the npm
// registry or from a folder of .tgz files, checked against their SHA-256 sums.
package hl7

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"time"
)

// Package is a package of version 4.0.1 that is known here.
type Package struct{ name, sha256 string }

// The packages. Examples holds all StructureDefinitions, SearchParameters and
// CompartmentDefinitions beside the examples; Expansions holds the expanded ValueSets.
var (
	Examples   = Package{"hl7.fhir.r4.examples", "dce87f1b5b9341867033f7d1f544fa1b5232503f6d62813887ac6b8a8b6cb682"}
	Expansions = Package{"hl7.fhir.r4.expansions", "18b2b00a6e26328bdbe4b2e273de5be32dfce21be37e0f582d18882bbce24e69"}
)

const version = "4.0.1"

// String is "name@version".
func (p Package) String() string { return p.name + "@" + version }

// Each calls do with the base name and the text of each file of the package, in the order of
// the archive. from is a folder that holds name-version.tgz, or "" for the npm registry. The
// first error of do ends it and comes back with the name of its file.
func (p Package) Each(from string, do func(name string, text io.Reader) error) error {
	archive, err := p.load(from)
	if err != nil {
		return err
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		name := path.Base(header.Name)
		if err := do(name, files); err != nil {
			return fmt.Errorf("%s: %s: %w", p, name, err)
		}
	}
}

func (p Package) load(from string) ([]byte, error) {
	file := p.name + "-" + version + ".tgz"
	var archive []byte
	var err error
	if from != "" {
		archive, err = os.ReadFile(filepath.Join(from, file))
	} else {
		archive, err = download("https://registry.npmjs.org/" + p.name + "/-/" + file)
	}
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(archive); hex.EncodeToString(sum[:]) != p.sha256 {
		return nil, fmt.Errorf("%s: SHA-256 is %x, expected %s", file, sum, p.sha256)
	}
	return archive, nil
}

func download(url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, res.Status)
	}
	return io.ReadAll(res.Body)
}
