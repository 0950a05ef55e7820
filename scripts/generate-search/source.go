package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const (
	packageName    = "hl7.fhir.r4.examples"
	packageVersion = "4.0.1"
	packageURL     = "https://registry.npmjs.org/hl7.fhir.r4.examples/-/hl7.fhir.r4.examples-4.0.1.tgz"
	packageSHA512  = "DXBdIZOeQaSKIgCU7w6HOC7sw/6BzylmipLkBW4f//pT+Bc94x+8LImwTdvaNThPJoOzpBzvxAzNqjeu3X/zLw=="
)

// definitions are the resources that the facts are taken from.
type definitions struct {
	parameters []searchParameter
	structures map[string]structureDefinition // by the name of the type
	valueSets  map[string]valueSet            // by URL
}

type searchParameter struct {
	Code, Type, Expression string
	Base, Target           []string
}

type structureDefinition struct {
	Name, Type, Derivation string
	Snapshot               struct{ Element []element }
}

type element struct {
	Path             string
	ContentReference string
	Type             []struct {
		Code          string
		TargetProfile []string
	}
	Binding struct{ Strength, ValueSet string }
}

type valueSet struct {
	URL     string
	Compose struct {
		Include []struct {
			System   string
			ValueSet []string
		}
	}
}

func readDefinitions(from string) (*definitions, error) {
	d := &definitions{structures: make(map[string]structureDefinition), valueSets: make(map[string]valueSet)}
	info, err := os.Stat(from)
	switch {
	case from == "":
		archive, err := download()
		if err != nil {
			return nil, err
		}
		return d, d.readArchive(bytes.NewReader(archive))
	case err != nil:
		return nil, err
	case info.IsDir():
		return d, d.readFolder(from)
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return d, d.readArchive(f)
}

func download() ([]byte, error) {
	resp, err := http.Get(packageURL)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", packageURL, resp.Status)
	}
	archive, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if sum := sha512.Sum512(archive); base64.StdEncoding.EncodeToString(sum[:]) != packageSHA512 {
		return nil, fmt.Errorf("%s: the checksum is not the one that was published", packageURL)
	}
	return archive, nil
}

func (d *definitions) readArchive(r io.Reader) error {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := d.read(path.Base(header.Name), archive); err != nil {
			return err
		}
	}
}

func (d *definitions) readFolder(folder string) error {
	names, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = d.read(filepath.Base(name), f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// read keeps what a file of the package holds, if it is of use here.
func (d *definitions) read(name string, r io.Reader) error {
	var err error
	switch {
	case name == "Bundle-searchParams.json":
		var bundle struct {
			Entry []struct{ Resource searchParameter }
		}
		err = json.NewDecoder(r).Decode(&bundle)
		for _, e := range bundle.Entry {
			d.parameters = append(d.parameters, e.Resource)
		}
	case strings.HasPrefix(name, "StructureDefinition-"):
		var s structureDefinition
		err = json.NewDecoder(r).Decode(&s)
		if s.Derivation != "constraint" {
			d.structures[s.Name] = s
		}
	case strings.HasPrefix(name, "ValueSet-"):
		var v valueSet
		err = json.NewDecoder(r).Decode(&v)
		d.valueSets[v.URL] = v
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
