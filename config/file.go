package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// fromFile reads a YAML file that is one mapping of keys to scalars, such as
// "listen: 127.0.0.1:8080", and puts the keys of structures into c. Texts are taken as they are
// written: "off" stays "off".
func fromFile(file string, c *Config) (map[string]value, []error) {
	given := map[string]value{}
	if file == "" {
		return given, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return given, []error{fmt.Errorf("%s: the configuration file cannot be read: %w", file, err)}
	}
	doc, err := parser.ParseBytes(data, 0)
	if err != nil {
		// The parser's text quotes the file, which may hold a password.
		return given, []error{fmt.Errorf("%s: this is not valid YAML, or a key is given twice", file)}
	}
	var problems []error
	for i, d := range doc.Docs {
		if i > 0 {
			problems = append(problems, fmt.Errorf("%s: there is more than one YAML document; give one", file))
			break
		}
		problems = append(problems, readMapping(file, d.Body, given, c)...)
	}
	return given, problems
}

func readMapping(file string, body ast.Node, given map[string]value, c *Config) (problems []error) {
	switch n := body.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return nil
	case *ast.MappingNode:
		for _, pair := range n.Values {
			problems = append(problems, readPair(file, pair, given, c)...)
		}
		return problems
	case *ast.MappingValueNode:
		return readPair(file, n, given, c)
	default:
		return []error{fmt.Errorf("%s: there are no settings; give lines such as \"listen: 127.0.0.1:8080\"", file)}
	}
}

func readPair(file string, pair *ast.MappingValueNode, given map[string]value, c *Config) []error {
	key := pair.Key.GetToken().Value
	from := fmt.Sprintf("%s (%s, line %d)", prefix+strings.ToUpper(key), file, pair.Key.GetToken().Position.Line)
	if set, ok := structures[key]; ok {
		if err := set(c, pair.Value); err != nil {
			return []error{fmt.Errorf("%s: %w", from, err)}
		}
		return nil
	}
	switch n := pair.Value.(type) {
	case *ast.NullNode:
		return nil
	case *ast.LiteralNode:
		given[prefix+strings.ToUpper(key)] = value{text: n.Value.Value, from: from}
	case ast.ScalarNode:
		if text := n.GetToken().Value; text != "" {
			given[prefix+strings.ToUpper(key)] = value{text: text, from: from}
		}
	default:
		return []error{fmt.Errorf("%s: a list or a mapping is given; give a single value", from)}
	}
	return nil
}
