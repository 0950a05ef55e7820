package store

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"

	"aftercare/fhir/search"
)

// fullText is an engine's index of words (https://hl7.org/fhir/R4/search.html#content). What a
// word is, is decided here, so that the engines find the same.
type fullText interface {
	// into adds what rows gives for the words of a resource.
	into() *insertion
	rows(rid int64, narrative, content []string) [][]any
	// from gives the table and the condition of the rows of resources that have all phrases, as
	// candidates, and the column of the rid; the phrases that rest are to be checked.
	from(s *statement, narrative bool, phrases [][]string) (from, where, rid string, rest [][]string)
	// has is the condition that the resource has all phrases.
	has(s *statement, narrative bool, phrases [][]string, rid string) string
}

// inNarrative tells a parameter of the narrative from one of all texts.
func inNarrative(p *search.Parameter) bool { return p.Code == "_text" }

// wordLimit is the longest word in bytes; of a longer one, the index holds the beginning and a
// hash. phraseLimit is the most words that a phrase may have.
const (
	wordLimit   = 128
	phraseLimit = 32
)

// words cuts a folded text as search.Words does, and further: each character of a script that is
// written without spaces is a word.
func words(text string) []string {
	out := make([]string, 0, len(text)/6)
	start := -1
	end := func(at int) {
		if start >= 0 {
			out = append(out, word(text[start:at]))
		}
		start = -1
	}
	for i, r := range text {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', 'A' <= r && r <= 'Z':
			if start < 0 {
				start = i
			}
		case r <= unicode.MaxASCII, !unicode.In(r, unicode.L, unicode.Nd, unicode.M):
			end(i)
		case unicode.In(r, unspaced...):
			end(i)
			out = append(out, string(r))
		case start < 0:
			start = i
		}
	}
	end(len(text))
	return out
}

var unspaced = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar}

func word(w string) string {
	if len(w) <= wordLimit {
		return w
	}
	sum := sha256.Sum256([]byte(w))
	return strings.ToValidUTF8(w[:wordLimit/2], "") + hex.EncodeToString(sum[:16])
}

// sqliteText is one row of FTS5 for each resource (https://sqlite.org/fts5.html).
type sqliteText struct{}

func (*sqliteEngine) text() fullText { return sqliteText{} }

var intoSQLiteText = insertInto("index_text", "rowid bigint, narrative text, content text", "")

func (sqliteText) into() *insertion { return intoSQLiteText }

func (sqliteText) rows(rid int64, narrative, content []string) [][]any {
	return [][]any{{rid, strings.Join(narrative, " "), strings.Join(content, " ")}}
}

func (sqliteText) from(s *statement, narrative bool, phrases [][]string) (from, where, rid string, rest [][]string) {
	t := s.alias()
	return "index_text " + t, t + ".index_text MATCH " + s.arg(sqlitePhrases(narrative, phrases)), t + ".rowid", nil
}

func (sqliteText) has(s *statement, narrative bool, phrases [][]string, rid string) string {
	t := s.alias()
	return "EXISTS (SELECT 1 FROM index_text " + t + " WHERE " + t + ".index_text MATCH " + s.arg(sqlitePhrases(narrative, phrases)) +
		" AND " + t + ".rowid = " + rid + fence + ")"
}

func sqlitePhrases(narrative bool, phrases [][]string) string {
	var quoted []string
	for _, p := range phrases {
		quoted = append(quoted, `"`+strings.Join(p, " ")+`"`)
	}
	column := "content"
	if narrative {
		column = "narrative"
	}
	return column + " : (" + strings.Join(quoted, " AND ") + ")"
}

// postgresText is a row with two vectors of words for each resource, or some for a long text
// (https://www.postgresql.org/docs/current/datatype-textsearch.html).
type postgresText struct{}

func (*postgresEngine) text() fullText { return postgresText{} }

var intoPostgresText = &insertion{
	one: "INSERT INTO index_text (rowid, part, narrative, content) VALUES ($1, $2, $3::text::tsvector, $4::text::tsvector)",
	many: "INSERT INTO index_text (rowid, part, narrative, content) SELECT rowid, part, narrative::tsvector, content::tsvector" +
		" FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) new (rowid, part, narrative, content)",
	types: []string{"bigint", "bigint", "text", "text"},
}

func (postgresText) into() *insertion { return intoPostgresText }

func (postgresText) rows(rid int64, narrative, content []string) [][]any {
	n, c := vectors(narrative), vectors(content)
	var rows [][]any
	for part := range max(len(n), len(c)) {
		row := []any{rid, int64(part), "", ""}
		if part < len(n) {
			row[2] = n[part]
		}
		if part < len(c) {
			row[3] = c[part]
		}
		rows = append(rows, row)
	}
	return rows
}

// The limits of a vector: places of one word, places, and bytes with some to spare.
const (
	vectorRepeats = 255
	vectorPlaces  = 16383
	vectorBytes   = 1 << 18
)

// vectors are the words as PostgreSQL reads a tsvector, as many as the limits ask for. Each begins
// with as many words of the one before as a phrase can reach across.
func vectors(words []string) []string {
	var out []string
	for first := 0; first < len(words); {
		places, size, end := map[string][]byte{}, 0, first
		repeats := map[string]int{}
		for ; end < len(words) && end-first < vectorPlaces && size < vectorBytes && repeats[words[end]] < vectorRepeats; end++ {
			w := words[end]
			repeats[w]++
			size += len(w) + 8
			places[w] = strconv.AppendInt(append(places[w], ','), int64(end-first+1), 10)
		}
		var b strings.Builder
		for w, at := range places {
			b.WriteString("'" + w + "':" + string(at[1:]) + " ")
		}
		out = append(out, b.String())
		if end == len(words) {
			break
		}
		first = end - (phraseLimit - 1)
	}
	return out
}

func (postgresText) from(s *statement, narrative bool, phrases [][]string) (from, where, rid string, rest [][]string) {
	// One phrase is looked up, the longest, which is likely to be rare.
	longest, most := 0, 0
	for i, p := range phrases {
		if n := len(strings.Join(p, "")); n > most {
			longest, most = i, n
		}
	}
	rest = append(append(rest, phrases[:longest]...), phrases[longest+1:]...)
	t := s.alias()
	in := "FALSE"
	if narrative {
		in = "TRUE"
	}
	return "text_with(" + in + ", " + s.arg(postgresPhrase(phrases[longest])) + "::text::tsquery, " + s.arg(int64(sourceLimit)) + ") " + t + " (rid)", always, t + ".rid", rest
}

func (postgresText) has(s *statement, narrative bool, phrases [][]string, rid string) string {
	column := ".content"
	if narrative {
		column = ".narrative"
	}
	var all []string
	for _, p := range phrases {
		t := s.alias()
		all = append(all, "EXISTS (SELECT 1 FROM index_text "+t+" WHERE "+t+".rowid = "+rid+" AND "+t+column+" @@ "+s.arg(postgresPhrase(p))+"::text::tsquery"+fence+")")
	}
	return strings.Join(all, " AND ")
}

func postgresPhrase(words []string) string { return "'" + strings.Join(words, "' <-> '") + "'" }

// sourceLimit is more rids than there are.
const sourceLimit = 1 << 62
