package search

import "strings"

// splitUnescaped cuts s at each sep that no backslash escapes, and leaves the escapes in
// place (https://hl7.org/fhir/R4/search.html#escaping).
func splitUnescaped(s string, sep byte) []string {
	var parts []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// unescape takes the escapes \, \| \$ and \\ out of s. Any other backslash is an error: a
// plain one is written \\.
func unescape(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			if i++; i == len(s) || strings.IndexByte(`,|$\`, s[i]) < 0 {
				return "", problem(`a backslash comes before one of , | $ or \; write a plain one as \\`)
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), nil
}

func unescapeParts(s string, sep byte) ([]string, error) {
	parts := splitUnescaped(s, sep)
	for i, part := range parts {
		var err error
		if parts[i], err = unescape(part); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// Escape writes a text so that Parse reads it as it is.
func Escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`).Replace(s)
}
