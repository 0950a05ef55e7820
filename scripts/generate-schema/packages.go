package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

type npmPackage struct{ name, sha256 string }

const version = "4.0.1"

var packages = []npmPackage{
	{"hl7.fhir.r4.examples", "dce87f1b5b9341867033f7d1f544fa1b5232503f6d62813887ac6b8a8b6cb682"},
	{"hl7.fhir.r4.expansions", "18b2b00a6e26328bdbe4b2e273de5be32dfce21be37e0f582d18882bbce24e69"},
}

// load reads the package from a folder or the registry and checks its sum.
func (p npmPackage) load(from string) ([]byte, error) {
	file := p.name + "-" + version + ".tgz"
	var data []byte
	var err error
	if from != "" {
		data, err = os.ReadFile(filepath.Join(from, file))
	} else {
		data, err = download("https://registry.npmjs.org/" + p.name + "/-/" + file)
	}
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != p.sha256 {
		return nil, fmt.Errorf("%s: SHA-256 is %x, expected %s", file, sum, p.sha256)
	}
	return data, nil
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
