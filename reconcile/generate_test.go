package reconcile

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/everythingstays/es/records"
)

// The vectors are put together from bytes, not by the encoder that they test.

// Bounds of the elements of two authors, by keys of v4 and v6.
var (
	aliceFrom = "\x04" + repeat("\xa1", 20)
	bobFrom   = "\x06" + repeat("\xb0", 32)
)

func repeat(s string, n int) string { return strings.Repeat(s, n) }

// num is a number.
func num(n int) string { return string(binary.AppendUvarint(nil, uint64(n))) }

// str is a string that shares bytes with the one before it.
func str(shared int, rest string) string { return num(shared) + num(len(rest)) + rest }

// digest is the kind and the digest of an element.
func digest(kind string, b byte) string { return kind + repeat(string([]byte{b}), 32) }

var (
	mark1 = repeat("\xf1", 32)
	mark2 = repeat("\xf2", 32)

	rangeAll   = str(0, "") + str(0, "")
	rangeAlice = str(0, aliceFrom) + str(21, "\x02")
	rangeBob   = str(0, bobFrom) + str(33, "\x02") // after alice's

	compareAlice = "\x01\x04" + rangeAlice + mark1
	compareBoth  = compareAlice + rangeBob + mark2
	countAlice   = "\x01\x01" + rangeAlice + mark1
	getAlice     = "\x02" + rangeAlice
)

// A testCase is a vector. One with a request is an answer to it.
type testCase struct {
	name, expect, spec, comment string
	request, message            string
}

func cases() []testCase {
	ok := func(name, spec, comment, message string) testCase {
		return testCase{name, "ok", spec, comment, "", message}
	}
	bad := func(name, spec, comment, message string) testCase {
		return testCase{name, "refused", spec, comment, "", message}
	}
	answer := func(request string, c testCase) testCase {
		c.request = request
		return c
	}
	el := func(b byte) string { return str(21, digest("\x01", b)) }
	next := func(b byte) string { return str(22, repeat(string([]byte{b}), 32)) }
	element := aliceFrom + digest("\x01", 0x77)
	return append([]testCase{
		ok("compare-everything", "E4 E5 E6", "the whole set, by a node that has nothing", "\x01\x10"+rangeAll+string(emptyMark())),
		ok("compare-authors", "E6", "two authors, by keys of v4 and v6", compareBoth),
		ok("compare-neighbours", "E5 E6", "a bound is the same as the one before it", "\x01\x02"+str(0, "\x04")+str(1, "\x80")+mark1+str(2, "")+str(1, "\xa0")+mark2+str(2, "")+str(0, "")+mark1),
		ok("compare-count", "E6", "one part: only counts are asked for", countAlice),
		bad("compare-no-ranges", "E6", "no ranges", "\x01\x04"),
		bad("compare-no-parts", "E6", "into 0 parts", "\x01\x00"+rangeAll+mark1),
		bad("compare-many-parts", "E6", "into 17 parts", "\x01\x11"+rangeAll+mark1),
		bad("compare-overlap", "E6", "the second range begins within the first", "\x01\x04"+str(0, "\x04")+str(1, "\x80")+mark1+str(1, "\x40")+str(0, "")+mark1),
		bad("compare-order", "E6", "the second range lies before the first", "\x01\x04"+str(0, "\x06")+str(1, "\x80")+mark1+str(0, "\x04")+str(1, "\x80")+mark1),
		bad("compare-after-end", "E6", "a range after one that goes to the end", "\x01\x04"+rangeAll+mark1+str(0, "\x04")+str(1, "\x80")+mark1),
		bad("compare-empty-range", "E6", "a range from a bound to itself", "\x01\x04"+str(0, "\x04")+str(1, "")+mark1),
		bad("compare-backwards", "E6", "a range that ends before it begins", "\x01\x04"+str(0, "\x06")+str(0, "\x04")+mark1),
		bad("compare-cut", "E5", "the last fingerprint has 31 bytes", compareAlice[:len(compareAlice)-1]),
		bad("compare-short-fingerprint", "E3 E6", "a fingerprint of 16 bytes, as in version 1", "\x01\x04"+rangeAlice+mark1[:16]),
		bad("compare-shares-less", "E5", "a string does not share all that it could", "\x01\x04"+str(0, aliceFrom)+str(20, "\xa1\x02")+mark1),
		bad("compare-shares-more", "E5", "a string shares more than there is", "\x01\x04"+str(0, aliceFrom)+str(22, "\x02")+mark1),
		bad("compare-long-number", "E5", "a number in two bytes that fits in one", "\x01\x84\x00"+rangeAlice+mark1),
		bad("compare-long-bound", "E5", "a bound of 68 bytes", "\x01\x04"+str(0, repeat("\x04", 68))+str(0, "")+mark1),
		bad("type-unknown", "E5", "no message has type 3", "\x03"+rangeAll),
		ok("get-everything", "E8", "the whole set", "\x02"+rangeAll),
		ok("get-elements", "E8", "two elements and all of an author", "\x02"+str(0, element)+str(54, "\x00")+str(22, repeat("\x88", 32))+str(54, "\x00")+rangeBob),
		bad("get-no-ranges", "E8", "no ranges", "\x02"),
		bad("get-twice", "E8", "one element twice", "\x02"+str(0, element)+str(54, "\x00")+str(54, "")+str(54, "\x00")),

		answer(compareBoth, ok("compared-equal", "E7", "both are the same", "\x11\x00\x00")),
		answer(compareBoth, ok("compared-first", "E7", "an answer for the first range only", "\x11\x00")),
		answer(compareBoth, ok("compared-none", "E7", "the answerer has nothing of either author", "\x11\x01\x00\x01\x00")),
		answer(compareAlice, ok("compared-elements", "E7", "a key block and two records", "\x11\x01\x03"+str(21, digest("\x00", 0x99))+el(0x11)+next(0x22))),
		answer(compareAlice, ok("compared-parts", "E7", "two parts, of 40 and 300 elements", "\x11\x02\x02"+mark1+num(40)+str(21, "\x01\x80")+mark2+num(300))),
		answer(countAlice, ok("compared-count", "E7", "one part, which is the range", "\x11\x02\x01"+mark2+num(100000))),
		answer(compareBoth, bad("compared-no-entries", "E7", "no entries", "\x11")),
		answer(compareAlice, bad("compared-more", "E7", "two entries for one range", "\x11\x00\x00")),
		answer(compareAlice, bad("compared-items", "E7", "items in answer to a compare, whose bytes could be entries", "\x12\x00")),
		answer(compareAlice, bad("compared-kind", "E7", "an entry of kind 3", "\x11\x03")),
		answer(compareAlice, bad("compared-outside", "E7", "an element of another author", "\x11\x01\x01"+str(0, bobFrom+digest("\x01", 0x11)))),
		answer(compareAlice, bad("compared-order", "E7", "elements in the wrong order", "\x11\x01\x02"+el(0x22)+next(0x11))),
		answer(compareAlice, bad("compared-twice", "E7", "an element twice", "\x11\x01\x02"+el(0x22)+str(54, ""))),
		answer(compareAlice, bad("compared-kind-of-element", "E1", "an element that is neither a key block nor a record", "\x11\x01\x01"+str(21, "\x01"+repeat("\x11", 31)))),
		answer(compareAlice, bad("compared-many-elements", "E7", "65 elements of one range", "\x11\x01\x41"+manyElements(65))),
		answer(countAlice, bad("compared-count-elements", "E7", "elements where only counts were asked for", "\x11\x01\x01"+el(0x11))),
		answer(compareAlice, bad("compared-one-part", "E7", "a range that is not cut: the asker would ask for ever", "\x11\x02\x01"+mark2+num(100))),
		answer(compareAlice, bad("compared-many-parts", "E7", "5 parts where at most 4 were asked for", "\x11\x02\x05"+mark1+num(1)+str(21, "\x01")+mark1+num(1)+str(22, "\x10")+mark1+num(1)+str(22, "\x20")+mark1+num(1)+str(22, "\x30")+mark1+num(1))),
		answer(compareAlice, bad("compared-short-fingerprints", "E3 E7", "two parts with fingerprints of 16 bytes, as in version 1", "\x11\x02\x02"+mark1[:16]+num(40)+str(21, "\x01\x80")+mark2[:16]+num(300))),
		answer(compareAlice, bad("compared-part-outside", "E7", "a part that begins where the range ends", "\x11\x02\x02"+mark1+num(40)+str(21, "\x02")+mark2+num(40))),
		answer(compareAlice, bad("compared-part-empty", "E7", "a part that begins where the one before it does", "\x11\x02\x02"+mark1+num(40)+str(21, "")+mark2+num(40))),
		answer(compareAlice, bad("compared-cut", "E5", "an element without its last byte", ("\x11\x01\x01" + el(0x11))[:37])),
		answer(getAlice, bad("compared-for-get", "E8", "entries in answer to a get", "\x11\x00")),
	}, append(itemCases(ok, bad, answer), limitCases(ok, bad, answer)...)...)
}

// limitCases are at the limits of numbers, ranges, elements and items.
func limitCases(ok, bad func(name, spec, comment, message string) testCase, answer func(string, testCase) testCase) []testCase {
	// Ranges of one element's length each, apart from each other.
	ranges := func(n int) string {
		b := []byte("\x02" + str(0, "\x04\x00\x00") + str(3, "\x01"))
		for i := 1; i < n; i++ {
			if i%256 == 0 {
				b = append(b, str(1, string([]byte{byte(i >> 8), 0}))+str(3, "\x01")...)
			} else {
				b = append(b, str(2, string([]byte{byte(i)}))+str(3, "\x01")...)
			}
		}
		return string(b)
	}
	// Of each of some ranges 50 elements, or one more of the first.
	const each = 50
	compare, elements := "\x01\x04", func(more int) string {
		b := []byte("\x11")
		for i := range maxElements / each {
			n := each
			if i == 0 {
				n += more
			}
			b = append(b, "\x01"+num(n)+str(24, repeat("\x00", 30))...)
			for j := 1; j < n; j++ {
				b = append(b, str(53, string([]byte{byte(j)}))...)
			}
		}
		return string(b)
	}
	for i := range maxElements / each {
		bound := string([]byte{byte(i >> 8), byte(i)})
		switch {
		case i == 0:
			compare += str(0, aliceFrom+"\x01"+bound) + str(24, "\xff") + mark1
		case i%256 == 0:
			compare += str(22, bound) + str(24, "\xff") + mark1
		default:
			compare += str(23, bound[1:]) + str(24, "\xff") + mark1
		}
	}
	// Key blocks of two bytes, by the elements that they make.
	blocks := func(n int) string {
		alice, err := records.FingerprintFromBytes([]byte(aliceFrom[1:]))
		if err != nil {
			panic(err)
		}
		var all []records.Item
		for i := range n {
			b := []byte{byte(i >> 8), byte(i)}
			all = append(all, records.Item{Element: records.KeyElement(alice, b), Bytes: b})
		}
		slices.SortFunc(all, func(a, b records.Item) int { return strings.Compare(string(a.Element), string(b.Element)) })
		b := []byte("\x12" + str(0, aliceFrom+"\x00") + num(2) + string(all[0].Bytes))
		for _, it := range all[1:] {
			b = append(b, str(22, "")+num(2)+string(it.Bytes)...)
		}
		return string(b)
	}
	part := "\x11\x02\x01" + mark2
	return []testCase{
		answer(countAlice, ok("compared-count-most", "E5 E7", "a number of 64 bits", part+repeat("\xff", 9)+"\x01")),
		answer(countAlice, bad("compared-count-more", "E5", "a number of 65 bits", part+repeat("\x80", 9)+"\x02")),
		ok("get-most", "E6 E8", "2,048 ranges", ranges(maxRanges)),
		bad("get-more", "E6", "2,049 ranges", ranges(maxRanges+1)),
		answer(compare, ok("compared-most", "E15", "20,000 elements", elements(0))),
		answer(compare, bad("compared-more-elements", "E15", "20,001 elements", elements(1))),
		answer(getAlice, ok("items-most", "E15", "20,000 items", blocks(maxElements))),
		answer(getAlice, bad("items-more", "E15", "20,001 items", blocks(maxElements+1))),
	}
}

func itemCases(ok, bad func(name, spec, comment, message string) testCase, answer func(string, testCase) testCase) []testCase {
	fingerprint, err := records.FingerprintFromBytes([]byte(aliceFrom[1:]))
	if err != nil {
		panic(err)
	}
	block := "not a key block, but it stands for one"
	envelope := string(record(fingerprint, 1).Bytes)
	second := string(record(fingerprint, 2).Bytes)
	key := str(0, aliceFrom+"\x00") + num(len(block)) + block
	return []testCase{
		answer(getAlice, ok("items", "E9", "a key block and two records of one author, in the order of their elements", "\x12"+key+str(21, "\x01")+num(len(envelope))+envelope+str(22, "")+num(len(second))+second)),
		answer(getAlice, bad("items-none", "E9", "no items", "\x12")),
		answer(getAlice, bad("items-entries", "E8 E9", "entries in answer to a get, whose bytes could be items", "\x11"+key)),
		answer(getAlice, bad("items-author", "E9", "a record of another author", "\x12"+str(0, bobFrom+"\x01")+num(len(envelope))+envelope)),
		answer(getAlice, bad("items-record", "E9 R36", "bytes that are no envelope", "\x12"+str(0, aliceFrom+"\x01")+num(5)+"hello")),
		answer(getAlice, bad("items-empty-key", "E9 R38", "a key block of no bytes", "\x12"+str(0, aliceFrom+"\x00")+num(0))),
		answer(getAlice, bad("items-head", "E9 E1", "an item of kind 2", "\x12"+str(0, aliceFrom+"\x02")+num(5)+"hello")),
		answer(getAlice, bad("items-cut", "E5", "an envelope without its last byte", "\x12"+str(0, aliceFrom+"\x01")+num(len(envelope))+envelope[:len(envelope)-1])),
		answer(getAlice, ok("end", "E10", "all that was asked for was sent", "\x13")),
		answer(getAlice, ok("end-position", "E10", "records from 80... on were not sent", "\x13"+str(0, aliceFrom+"\x01\x80"))),
		answer(getAlice, bad("end-empty", "E10", "an empty position", "\x13"+str(0, ""))),
		answer(getAlice, bad("end-more", "E5", "a byte after the position", "\x13"+str(0, aliceFrom+"\x01\x80")+"\x00")),
		answer(compareAlice, ok("refused-busy", "E11", "busy", "\x1f\x01")),
		answer(compareAlice, ok("refused-limits", "E11", "the limits of the session are used up", "\x1f\x02")),
		answer(compareAlice, bad("refused-zero", "E11", "code 0", "\x1f\x00")),
		answer(compareAlice, bad("refused-unknown", "E11", "code 5", "\x1f\x05")),
		answer(compareAlice, bad("refused-long", "E5", "a byte after the code", "\x1f\x01\x00")),
	}
}

// emptyMark is the fingerprint of no elements.
func emptyMark() []byte {
	f := records.Sum{}.Fingerprint()
	return bytes.Clone(f[:])
}

func manyElements(n int) string {
	all := str(21, digest("\x01", 0))
	for i := 1; i < n; i++ {
		all += str(22, repeat(string([]byte{byte(i)}), 32))
	}
	return all
}
