package endpoint

import (
	"container/list"
	"sync"
	"time"
)

// A document is an encoded packument.
type document struct {
	stamp    string
	body     []byte
	modified time.Time
}

// documents are those that were asked for last, up to max bytes of them.
type documents struct {
	max int

	mu    sync.Mutex
	bytes int
	byKey map[docKey]*list.Element
	last  list.List // of *cached, the one that was asked for last in front
}

type cached struct {
	key docKey
	doc *document
}

func (d *documents) get(key docKey, stamp string) *document {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.byKey[key]
	if e == nil || e.Value.(*cached).doc.stamp != stamp {
		return nil
	}
	d.last.MoveToFront(e)
	return e.Value.(*cached).doc
}

func (d *documents) add(key docKey, doc *document) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byKey == nil {
		d.byKey = make(map[docKey]*list.Element)
	}
	if e := d.byKey[key]; e != nil {
		d.remove(e)
	}
	d.byKey[key] = d.last.PushFront(&cached{key, doc})
	d.bytes += len(doc.body)
	for d.bytes > d.max {
		d.remove(d.last.Back())
	}
}

func (d *documents) remove(e *list.Element) {
	c := d.last.Remove(e).(*cached)
	delete(d.byKey, c.key)
	d.bytes -= len(c.doc.body)
}
