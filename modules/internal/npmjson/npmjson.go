// Package npmjson reads package.json (SPEC.md [M40]) and its fields as npm does. An object
// keeps its keys in the order of the file; two keys that are the same, and what nests
// deeper than 32 levels, are refused.
package npmjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// FileName is the name of the file.
const FileName = "package.json"

// MaxBytes is the most bytes that a package.json may have.
const MaxBytes = 1 << 20

// maxJSONDepth is how deep objects and arrays may nest in package.json.
const maxJSONDepth = 32

// An Object keeps its keys in the order of the file. Values are nil, bool,
// json.Number, string, []any or *Object. All methods take a nil receiver
// for an object without keys.
type Object struct {
	keys   []string
	values map[string]any
}

// Get returns the value of a key, or nil.
func (o *Object) Get(key string) any {
	if o == nil {
		return nil
	}
	return o.values[key]
}

// Has reports whether the object has a key, whatever its value.
func (o *Object) Has(key string) bool {
	if o == nil {
		return false
	}
	_, ok := o.values[key]
	return ok
}

// Object returns the value of a key if it is an object, otherwise nil.
func (o *Object) Object(key string) *Object {
	v, _ := o.Get(key).(*Object)
	return v
}

// Text returns the value of a key if it is a string, otherwise "".
func (o *Object) Text(key string) string {
	v, _ := o.Get(key).(string)
	return v
}

// Keys returns the keys in the order of the file.
func (o *Object) Keys() []string {
	if o == nil {
		return nil
	}
	return o.keys
}

// Parse reads one object. It refuses what two readers might read
// differently: a key twice, and anything after the object.
func Parse(b []byte) (*Object, error) { return readObjectOf(b, false) }

// ParseLenient is Parse for old packages: of a key that stands twice the last
// value counts, as in JavaScript.
func ParseLenient(b []byte) (*Object, error) { return readObjectOf(b, true) }

func readObjectOf(b []byte, twice bool) (*Object, error) {
	b = bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF"))
	d := jsonReader{json.NewDecoder(bytes.NewReader(b)), twice}
	d.UseNumber()
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("has something after its object")
	}
	o, ok := v.(*Object)
	if !ok {
		return nil, errors.New("is not an object")
	}
	return o, nil
}

// A jsonReader reads values in order.
type jsonReader struct {
	*json.Decoder
	twice bool // whether a key may stand twice
}

func (d jsonReader) value(depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, jsonError(err)
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth == maxJSONDepth {
		return nil, fmt.Errorf("nests deeper than %d", maxJSONDepth)
	}
	if delim == '[' {
		return d.array(depth + 1)
	}
	return d.object(depth + 1)
}

func (d jsonReader) array(depth int) (any, error) {
	list := []any{}
	for d.More() {
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, jsonError(err)
}

func (d jsonReader) object(depth int) (any, error) {
	o := &Object{values: make(map[string]any)}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, jsonError(err)
		}
		key, ok := t.(string)
		if !ok {
			return nil, errors.New("has a key that is not a string")
		}
		if o.Has(key) && !d.twice {
			return nil, fmt.Errorf("has the key %.200q twice", key)
		}
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		if !o.Has(key) {
			o.keys = append(o.keys, key)
		}
		o.values[key] = v
	}
	_, err := d.Token()
	return o, jsonError(err)
}

func jsonError(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("is not JSON: %v", err)
	}
	return nil
}
