// Command generate-compartment writes the R4 Patient compartment, as far as its types are
// served, to one file: a line for each type with the search parameters that make a
// resource a member. It reads the official package of R4 examples (CC0), from npm or from
// an archive that is there already:
//
//	go run ./scripts/generate-compartment -out service/compartment.txt [-from FILE.tgz]
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"

	"aftercare/fhir"
)

const (
	packageName    = "hl7.fhir.r4.examples"
	packageVersion = "4.0.1"
	packageURL     = "https://registry.npmjs.org/hl7.fhir.r4.examples/-/hl7.fhir.r4.examples-4.0.1.tgz"
	packageSHA512  = "DXBdIZOeQaSKIgCU7w6HOC7sw/6BzylmipLkBW4f//pT+Bc94x+8LImwTdvaNThPJoOzpBzvxAzNqjeu3X/zLw=="
	definition     = "CompartmentDefinition-patient.json"
)

func main() {
	from := flag.String("from", "", ".tgz of hl7.fhir.r4.examples 4.0.1; downloaded when empty")
	out := flag.String("out", "service/compartment.txt", "file to write")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*from, *out); err != nil {
		fmt.Fprintln(os.Stderr, "generate-compartment:", err)
		os.Exit(1)
	}
}

func run(from, out string) error {
	archive, err := readPackage(from)
	if err != nil {
		return err
	}
	text, err := readFile(archive, definition)
	if err != nil {
		return err
	}
	lines, err := members(text)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by scripts/generate-compartment from %s@%s (CC0). Do not edit.\n", packageName, packageVersion)
	b.WriteString("# type, search parameters that make a resource a member of the Patient compartment\n")
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	return os.WriteFile(out, b.Bytes(), 0o644)
}

// members are the served types of a CompartmentDefinition that have parameters, sorted.
func members(text []byte) ([]string, error) {
	var compartment struct {
		Code     string
		Resource []struct {
			Code  string
			Param []string
		}
	}
	if err := json.Unmarshal(text, &compartment); err != nil {
		return nil, fmt.Errorf("%s: %w", definition, err)
	}
	var lines []string
	for _, r := range compartment.Resource {
		if _, served := fhir.Served(r.Code); served && len(r.Param) > 0 {
			lines = append(lines, r.Code+" "+strings.Join(r.Param, " "))
		}
	}
	if compartment.Code != "Patient" || len(lines) == 0 {
		return nil, fmt.Errorf("%s: it is not the compartment of Patient", definition)
	}
	slices.Sort(lines)
	return lines, nil
}

func readPackage(from string) ([]byte, error) {
	if from != "" {
		return os.ReadFile(from)
	}
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

func readFile(archive []byte, name string) ([]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the package has no %s", name)
		}
		if err != nil {
			return nil, err
		}
		if path.Base(header.Name) == name {
			return io.ReadAll(files)
		}
	}
}
