package npmjson

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// IsLaterBin reports whether q comes after p in directories.bin, where the last
// program of a name counts. npm takes the shallow ones first and has no order
// beyond that.
func IsLaterBin(p, q string) bool {
	dp, dq := strings.Count(p, "/"), strings.Count(q, "/")
	return dp < dq || dp == dq && p < q
}

// SecurePath makes a path of package.json one that does not lead out, as npm does.
func SecurePath(p string) string {
	p = strings.NewReplacer(`\`, "/", ":", "/").Replace(p)
	trailing := strings.HasSuffix(p, "/")
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	if trailing && p != "" {
		p += "/"
	}
	return p
}

// Strings returns the strings in list.
func Strings(list []any) []string {
	var words []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			words = append(words, s)
		}
	}
	return words
}

// IsNothing reports whether v is one of the ways in which people write that
// there is nothing.
func IsNothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	}
	return false
}

// IsTruthy is JavaScript's truth of a JSON value.
func IsTruthy(v any) bool {
	switch v := v.(type) {
	case []any, *Object:
		return v != nil
	}
	return ToString(v) != ""
}

// ToString is what `${v}` makes of a JSON value, or "" if it is falsy.
func ToString(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case *Object:
		return "[object Object]"
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = ToString(item)
		}
		return strings.Join(items, ",")
	case bool:
		if v {
			return "true"
		}
	case fmt.Stringer:
		if s := v.String(); s != "0" {
			return s
		}
	}
	return ""
}

// Files reads "files", which npm also takes as a string: one entry for
// each character.
func Files(pkg *Object) (files []string, listed bool, err error) {
	switch v := pkg.Get("files").(type) {
	case string:
		for _, r := range v {
			files = append(files, string(r))
		}
		return files, v != "", nil
	case []any:
		if files = Strings(v); len(files) < len(v) {
			return nil, false, errors.New("files has an item that is not a string")
		}
		return files, true, nil
	}
	if v := pkg.Get("files"); !IsNothing(v) {
		return nil, false, errors.New("files is not a list")
	}
	return nil, false, nil
}

// BundledNames reads bundleDependencies of o as npm does: a list, true for all
// dependencies, or an object whose keys count; bundledDependencies if it is
// the only one.
func BundledNames(o *Object, dependencies map[string]string) []string {
	field := "bundleDependencies"
	if !o.Has(field) {
		field = "bundledDependencies"
	}
	switch v := o.Get(field).(type) {
	case bool:
		if v {
			return slices.Sorted(maps.Keys(dependencies))
		}
	case []any:
		return Strings(v)
	case *Object:
		return v.Keys()
	}
	return nil
}
