package npm

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Words reads a list of texts, or one text, as os and cpu of a package.json are written;
// nothing of what is neither.
func Words(v jsontext.Value) []string {
	if len(v) == 0 {
		return nil
	}
	var list []string
	if json.Unmarshal(v, &list) == nil {
		return list
	}
	var word string
	if json.Unmarshal(v, &word) == nil && word != "" {
		return []string{word}
	}
	return nil
}
