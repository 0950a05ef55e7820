// Command generate-compartment writes the R4 Patient compartment, as far as its types are
// served, to one file: a line for each type with the search parameters that make a
// resource a member. It reads the official package of R4 examples (CC0), from npm or from
// a folder that has it:
//
//	go run ./scripts/generate-compartment -out service/compartment.txt [-from FOLDER]
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/scripts/hl7"
)

const definition = "CompartmentDefinition-patient.json"

func main() {
	from := flag.String("from", "", "folder with the .tgz file; downloaded where empty")
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
	var text []byte
	if err := hl7.Examples.Each(from, func(name string, file io.Reader) (err error) {
		if name == definition {
			text, err = io.ReadAll(file)
		}
		return err
	}); err != nil {
		return err
	}
	lines, err := members(text)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by scripts/generate-compartment from %s (CC0). Do not edit.\n", hl7.Examples)
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
		if t, served := fhir.Served(r.Code); served && !t.Logged && len(r.Param) > 0 {
			lines = append(lines, r.Code+" "+strings.Join(r.Param, " "))
		}
	}
	if compartment.Code != "Patient" || len(lines) == 0 {
		return nil, fmt.Errorf("%s: it is not the compartment of Patient", definition)
	}
	slices.Sort(lines)
	return lines, nil
}
