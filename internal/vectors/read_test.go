package vectors

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const header = "expect: refused\nspec: R7\ncomment: why\nat: 2:12\n"
	v, err := Parse("a", []byte(header+"-- x.hex --\n0a\n0b\n"))
	if err != nil {
		t.Fatal(err)
	}
	if v.Name != "a" || v.Expect != "refused" || v.Spec != "R7" || v.Comment != "why" || v.More["at"] != "2:12" {
		t.Errorf("reads as %+v", v)
	}
	if b := v.Hex(t, "x.hex"); string(b) != "\n\v" {
		t.Errorf("hex %q", b)
	}
	v.Set("x.hex", "0c\n")
	v.Set("y", "z\n")
	if got, want := string(v.Bytes()), header+"-- x.hex --\n0c\n-- y --\nz\n"; got != want {
		t.Errorf("is written as\n%swant\n%s", got, want)
	}
	for _, bad := range []string{
		"spec: R7\ncomment: why\n-- x --\n",
		"expect: ok\nspec: R7\n-- x --\n",
		"expect: ok\nspec: R7\ncomment: why\n",
		"expect: ok\nexpect: refused\nspec: R7\ncomment: why\n-- x --\n",
		"expect: ok\nspec: R7\ncomment: why\nat: 1\nat: 2\n-- x --\n",
		"expect: ok\nspec: R7\ncomment: why\nat\n-- x --\n",
	} {
		if _, err := Parse("a", []byte(bad)); err == nil {
			t.Errorf("taken: %s", strings.ReplaceAll(bad, "\n", "|"))
		}
	}
}
