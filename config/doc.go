// Package config holds the settings of the program: their names, their defaults, what
// each accepts, and every reason why a value is not acceptable.
//
// A setting comes from an environment variable such as AFTERCARE_LISTEN, or from the
// key "listen" of an optional YAML file; the environment wins. An empty value counts as
// not given. Load checks everything and reports all problems at once, so that a person
// mends a configuration in one go.
//
// The table in settings.go is the only list of settings. The program's help is made
// from it, and a test holds the README to it.
package config
