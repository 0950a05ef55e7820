package main

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", 9000) // more than a bufio.Reader holds
	for name, c := range map[string]struct {
		text  string
		limit int64
		want  []string
	}{
		"nothing":                              {"", 9, []string{"EOF"}},
		"one line without an end":              {"a", 9, []string{"a", "EOF"}},
		"one line":                             {"a\n", 9, []string{"a\n", "EOF"}},
		"a line at the limit":                  {"12345678\nb", 9, []string{"12345678\n", "b", "EOF"}},
		"a line over the limit":                {"123456789\nb", 9, []string{"long", "b", "EOF"}},
		"the last line over the limit":         {"b\n1234567890", 9, []string{"b\n", "long", "EOF"}},
		"longer than the buffer":               {long + "\nb", 10000, []string{long + "\n", "b", "EOF"}},
		"longer than the buffer and the limit": {long + "\nb\n", 5000, []string{"long", "b\n", "EOF"}},
		"exactly the buffer, and no end":       {long[:4096], 9, []string{"long", "EOF"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := bufio.NewReader(strings.NewReader(c.text))
			var got []string
			for len(got) == 0 || got[len(got)-1] != "EOF" && len(got) < 9 {
				line, err := readLine(r, c.limit)
				switch {
				case errors.Is(err, errLongLine):
					got = append(got, "long")
				case err == nil:
					got = append(got, string(line))
				case errors.Is(err, io.EOF):
					if len(line) > 0 {
						got = append(got, string(line))
					}
					got = append(got, "EOF")
				default:
					t.Fatal(err)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %.60q, want %.60q", got, c.want)
			}
		})
	}
}
