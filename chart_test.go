package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aftercare/config"

	"github.com/goccy/go-yaml"
)

// The settings that the chart hands over are ones that the program accepts.
func TestChartSettingsAreAccepted(t *testing.T) {
	files, err := filepath.Glob("charts/aftercare/ci/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "charts/aftercare/values.yaml") {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var values struct {
			BaseURL  string            `yaml:"baseURL"`
			Settings map[string]string `yaml:"settings"`
		}
		if err := yaml.Unmarshal(content, &values); err != nil {
			t.Fatal(err)
		}
		environ := []string{"AFTERCARE_BASE_URL=" + values.BaseURL}
		for name, value := range values.Settings {
			environ = append(environ, name+"="+value)
		}
		if _, err := config.Load(environ, ""); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}

	// The names that the template itself writes.
	known := map[string]bool{}
	for _, s := range config.Settings() {
		known[s.Name] = true
	}
	written := 0
	for line := range strings.Lines(read(t, "charts/aftercare/templates/configmap.yaml")) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), ":"); strings.HasPrefix(name, "AFTERCARE_") {
			written++
			if !known[name] {
				t.Errorf("the chart writes %s, which is no setting", name)
			}
		}
	}
	if written == 0 {
		t.Error("no setting was found in the template")
	}
}
