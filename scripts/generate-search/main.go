// Command generate-search writes the facts of the R4 search parameters of the served types
// to one file, a line each: type, code, kind, targets, expression, implied code system, id,
// types of the values, "1" where there is one value at most, and the components of a composite,
// separated by tabs. It reads the official package of R4 examples (CC0), from npm or from a
// folder that has it:
//
//	go run ./scripts/generate-search -out fhir/search/parameters.txt [-from FOLDER]
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"

	"aftercare/scripts/hl7"
)

func main() {
	from := flag.String("from", "", "folder with the .tgz file; downloaded where empty")
	out := flag.String("out", "fhir/search/parameters.txt", "file to write")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*from, *out); err != nil {
		fmt.Fprintln(os.Stderr, "generate-search:", err)
		os.Exit(1)
	}
}

func run(from, out string) error {
	d := newDefinitions()
	if err := hl7.Examples.Each(from, d.read); err != nil {
		return err
	}
	lines, err := d.lines()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by scripts/generate-search from %s (CC0). Do not edit.\n", hl7.Examples)
	b.WriteString("# type, code, kind, targets, expression, implied code system, id, types of values, one value at most, components\n")
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	return os.WriteFile(out, b.Bytes(), 0o644)
}
