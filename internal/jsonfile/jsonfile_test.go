package jsonfile

import (
	"errors"
	"strings"
	"testing"
)

// SPEC I5. Members stand where they are said to stand, at any depth.
func TestPlaces(t *testing.T) {
	const text = " {\"a\" : \"x\",\n\t\"b\":{\"c\\u0064\": [1, {\"d\": null}]}, \"e\": true}\n"
	root, err := Parse("x.json", "I5", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	var visit func(*Object)
	visit = func(o *Object) {
		for _, m := range o.Members {
			got = append(got, text[m.KeyStart:m.KeyEnd]+" is "+text[m.ValueStart:m.ValueEnd])
			if m.Object != nil {
				visit(m.Object)
			}
		}
	}
	visit(root)
	want := []string{`"a" is "x"`, `"b" is {"c\u0064": [1, {"d": null}]}`, `"c\u0064" is [1, {"d": null}]`, `"e" is true`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || text[root.Start:root.End] != strings.TrimSpace(text) {
		t.Errorf("members %q, want %q", got, want)
	}
	b := root.Members[root.Find("b")].Object
	if root.Find("f") >= 0 || b == nil || b.Find("cd") != 0 || *root.Members[0].Text != "x" {
		t.Errorf("a member is not found by its key: %+v", root)
	}
}

// SPEC I5. Each refusal says the line and the column.
func TestRefusals(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for text, want := range map[string]string{
		"":                            "x.json:1:1: unexpected end of JSON input",
		"[]":                          "x.json:1:1: must be an object",
		"{\n \"a\": 1,\n \"a\": 2}":   `x.json:3:2: has the key "a" twice`,
		`{"a": {"b": 1, "\u0062":2}}`: `x.json:1:16: has the key "b" twice`,
		"{\"a\": \"\xff\"}":           "x.json:1:8: is not UTF-8",
		`{"a": [{"b": 1, "b": 2}]}`:   `x.json:1:17: has the key "b" twice`,
		deep(MaxDepth + 1):            "x.json:1:641: nests more than 128 deep",
		deep(MaxDepth):                "",
	} {
		_, err := Parse("x.json", "I5", []byte(text))
		if want == "" && err == nil {
			continue
		}
		var syntax *SyntaxError
		if err == nil || err.Error() != want || !errors.As(err, &syntax) || syntax.Rule != "I5" {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// SPEC I7
func TestHalfPair(t *testing.T) {
	for text, want := range map[string]int{
		`"a"`: -1, `"\ud83d\ude00"`: -1, `"\\ud83d"`: -1, `"\ufffd"`: -1, `"\uD83D\uDE00\uD83D\uDE00"`: -1, `"\\\ud83d\ude00"`: -1,
		`"\ud83d"`: 1, `"\ude00"`: 1, `"\ud83dx\ude00"`: 1, `"\ud83d\u0041"`: 1, `"\ud83d\ud83d\ude00"`: 1, `"\\\ud83d"`: 3, `"\ud83d\ude00\ude00"`: 13, `"\ud83d\n"`: 1,
	} {
		if got := HalfPair([]byte(text)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	if got := Quote("<&>\"\n"); got != `"<&>\"\n"` {
		t.Errorf("%s", got)
	}
}
