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
			Config   map[string]any    `yaml:"config"`
			Tokens   struct {
				Enabled bool `yaml:"enabled"`
			} `yaml:"tokens"`
		}
		if err := yaml.Unmarshal(content, &values); err != nil {
			t.Fatal(err)
		}
		environ := []string{"AFTERCARE_BASE_URL=" + values.BaseURL}
		for name, value := range values.Settings {
			environ = append(environ, name+"="+value)
		}
		if values.Tokens.Enabled {
			environ = append(environ, "AFTERCARE_AUTH=jwt", "AFTERCARE_KEYS=/keys")
		}
		configuration := ""
		if len(values.Config) > 0 {
			content, err := yaml.Marshal(values.Config)
			if err != nil {
				t.Fatal(err)
			}
			configuration = filepath.Join(t.TempDir(), "aftercare.yaml")
			if err := os.WriteFile(configuration, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := config.Load(environ, configuration); err != nil {
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

// The site that the chart hands over, and the example of the documentation, are ones that the
// program accepts.
func TestSiteFilesAreAccepted(t *testing.T) {
	var values struct {
		Site map[string]any `yaml:"site"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "charts/aftercare/ci/plain-values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(values.Site)
	if err != nil || len(values.Site) == 0 {
		t.Fatal(values.Site, err)
	}
	file := filepath.Join(t.TempDir(), "site.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{file, "docs/site.example.yaml"} {
		cfg, err := config.Load([]string{"AFTERCARE_SITE=" + file}, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := loadDefinitions(cfg); err != nil {
			t.Error(err)
		}
	}
	if err := os.WriteFile(file, []byte("organisation:\n  name: A\nfax: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = loadDefinitions(config.Config{Site: file})
	if err == nil || !strings.Contains(err.Error(), "AFTERCARE_SITE") || !strings.Contains(err.Error(), "[3:1]") {
		t.Errorf("a key that is not known: %v", err)
	}
}
