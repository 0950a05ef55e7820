// Command generate-search writes the facts of the R4 search parameters of the served types
// to one file, a line each: type, code, kind, targets, expression and implied code system,
// separated by tabs. It reads the official package of R4 examples (CC0), from npm or from a
// folder or archive that is there already:
//
//	go run ./scripts/generate-search -out fhir/search/parameters.txt [-from FOLDER|FILE.tgz]
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
)

func main() {
	from := flag.String("from", "", "folder or .tgz of hl7.fhir.r4.examples 4.0.1; downloaded when empty")
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
	d, err := readDefinitions(from)
	if err != nil {
		return err
	}
	lines, err := d.lines()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by scripts/generate-search from %s@%s (CC0). Do not edit.\n", packageName, packageVersion)
	b.WriteString("# type, code, kind, targets, expression, implied code system\n")
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	return os.WriteFile(out, b.Bytes(), 0o644)
}
