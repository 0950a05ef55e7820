package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Load makes the Config from environ, which has the form of os.Environ, and from the
// YAML file, none when file is "". The error joins one error for each problem; each
// names the setting, says what is wrong with its value and what is accepted. Values of
// settings that may hold a secret are not repeated.
func Load(environ []string, file string) (Config, error) {
	var c Config
	given, problems := fromFile(file, &c)
	for name, v := range fromEnviron(environ) {
		given[name] = v
	}

	for _, s := range settings {
		v, ok := given[s.Name]
		delete(given, s.Name)
		if !ok && s.Default == "" {
			continue
		}
		if !ok {
			v = value{text: s.Default, from: s.Name}
		}
		if err := s.set(&c, v.text); err != nil {
			problems = append(problems, v.problem(s, err))
		}
	}
	for _, name := range sortedNames(given) {
		problems = append(problems, fmt.Errorf("%s: there is no such setting; 'aftercare serve --help' lists them", given[name].from))
	}
	return c, errors.Join(append(problems, c.contradictions()...)...)
}

// contradictions are the problems of settings that are each acceptable alone.
func (c Config) contradictions() []error {
	open := c.Listen != "" && !loopback(c.Listen)
	var problems []error
	if open && c.Auth == "none" {
		problems = append(problems, errors.New(
			"AFTERCARE_LISTEN: other machines could connect to this address, and without authentication anyone could read patient data; "+
				"set AFTERCARE_AUTH=jwt, or listen on a loopback address such as 127.0.0.1:8080"))
	}
	if c.BaseURL == "" && (open || c.Auth == "jwt") {
		problems = append(problems, errors.New(
			"AFTERCARE_BASE_URL: is required when other machines can connect or tokens are used; give the address under which they know this service, such as https://fhir.hospital.example/fhir"))
	}
	return append(problems, c.contradictionsOfTokens()...)
}

// value is what was given for a setting, and where.
type value struct{ text, from string }

func (v value) problem(s Setting, err error) error {
	if s.secret {
		return fmt.Errorf("%s: the value %w", v.from, err)
	}
	return fmt.Errorf("%s: %q %w", v.from, clip(v.text), err)
}

// clip keeps a mistaken paste out of an error text.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

func fromEnviron(environ []string) map[string]value {
	given := map[string]value{}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, prefix) && text != "" && !slices.Contains(notOurs, name) {
			given[name] = value{text: text, from: name}
		}
	}
	return given
}

func sortedNames(m map[string]value) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
