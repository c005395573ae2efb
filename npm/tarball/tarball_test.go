package tarball

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func entry(name, content string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content)), PAXRecords: nil, Linkname: content}
}

// archiveOf writes headers; a regular file's contents are in Linkname.
func archiveOf(t testing.TB, headers ...tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content, h.Linkname = h.Linkname, ""
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zip(t testing.TB, b []byte) []byte {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}

func list(b []byte) (files []string, links Links, err error) {
	links, err = Read(bytes.NewReader(b), func(f File, r io.Reader) error {
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		mode := "-"
		if f.Exec {
			mode = "x"
		}
		files = append(files, fmt.Sprintf("%s %s %d %s", f.Path, mode, f.Size, content))
		return nil
	})
	return files, links, err
}

// TestRead lists what npm would leave in node_modules (SPEC Q10).
func TestRead(t *testing.T) {
	long := strings.Repeat("d/", 120) + "long"
	program := entry("package/bin", "#!")
	program.Mode = 0o4755
	owner := entry("package/owner", "")
	owner.Mode = 0o100
	group := entry("package/group", "")
	group.Mode = 0o077
	for _, c := range []struct {
		name    string
		headers []tar.Header
		want    []string
	}{
		{"files", []tar.Header{entry("package/package.json", "{}"), entry("package/lib/a.js", "a")},
			[]string{"package.json - 2 {}", "lib/a.js - 1 a"}},
		{"any first directory", []tar.Header{entry("lodash-4/package.json", "{}"), entry("other/b", "b")},
			[]string{"package.json - 2 {}", "b - 1 b"}},
		{"beside the package", []tar.Header{entry("README", "r"), entry("package/a", "a")}, []string{"a - 1 a"}},
		{"a dot first is the first directory", []tar.Header{entry("./package/a", "a")}, []string{"package/a - 1 a"}},
		{"dots and slashes", []tar.Header{entry("package/./b//c", "c")}, []string{"b/c - 1 c"}},
		{"modes", []tar.Header{program, owner, group}, []string{"bin x 2 #!", "owner x 0 ", "group - 0 "}},
		{"names of PAX", []tar.Header{entry("package/"+long, "l"), entry("package/ü", "u")}, []string{long + " - 1 l", "ü - 1 u"}},
		{"directories", []tar.Header{{Name: "package/empty/", Typeflag: tar.TypeDir, Mode: 0o755}, entry("package/a", "a")}, []string{"a - 1 a"}},
		{"git's own header", []tar.Header{{Name: "pax_global_header", Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "c"}}, entry("package/a", "a")},
			[]string{"a - 1 a"}},
		{".gitignore", []tar.Header{entry("package/.gitignore", "g"), entry("package/sub/.gitignore", "s")},
			[]string{".npmignore - 1 g", "sub/.npmignore - 1 s"}},
		{".npmignore before .gitignore", []tar.Header{entry("package/.npmignore", "n"), entry("package/.gitignore", "g")},
			[]string{".npmignore - 1 n"}},
		{"another directory's .npmignore", []tar.Header{entry("package/.npmignore", "n"), entry("package/sub/.gitignore", "s")},
			[]string{".npmignore - 1 n", "sub/.npmignore - 1 s"}},
		{"node_modules", []tar.Header{entry("package/node_modules/b/.npmrc", "n")}, []string{"node_modules/b/.npmrc - 1 n"}},
	} {
		plain := archiveOf(t, c.headers...)
		for _, b := range [][]byte{plain, zip(t, plain)} {
			files, links, err := list(b)
			if err != nil || len(links) > 0 || fmt.Sprint(files) != fmt.Sprint(c.want) {
				t.Errorf("%s: %q, links %q, %v; want %q", c.name, files, links, err, c.want)
			}
		}
	}
}

func TestGNULongNames(t *testing.T) {
	h := entry("package/"+strings.Repeat("d/", 120)+"long", "l")
	h.Format = tar.FormatGNU
	files, _, err := list(archiveOf(t, h))
	if err != nil || len(files) != 1 || !strings.HasSuffix(files[0], "/long - 1 l") {
		t.Errorf("%q, %v", files, err)
	}
}

func TestLinksAreLeftOut(t *testing.T) {
	files, links, err := list(archiveOf(t,
		tar.Header{Name: "package/s", Typeflag: tar.TypeSymlink, Linkname: "../../etc/passwd"},
		tar.Header{Name: "package/h", Typeflag: tar.TypeLink, Linkname: "package/a"},
		entry("package/a", "a")))
	if err != nil || len(files) != 1 || fmt.Sprint(links) != "[package/s package/h]" {
		t.Errorf("%q, %q, %v", files, links, err)
	}
}

// TestReadRefuses has an archive for each fault (SPEC Q11).
func TestReadRefuses(t *testing.T) {
	good := zip(t, archiveOf(t, entry("package/a", strings.Repeat("a", 5000))))
	plain := archiveOf(t, entry("package/a", strings.Repeat("a", 5000)))
	damaged := bytes.Clone(good)
	damaged[len(damaged)-5] ^= 1 // of the checksum
	header := bytes.Clone(plain)
	header[0] ^= 1
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "has no entries"},
		{"HTML", []byte(strings.Repeat("<html>", 200)), "not an archive"},
		{"a gzip header alone", good[:5], "ends too early"},
		{"cut in gzip", good[:len(good)-20], "ends too early"},
		{"cut in a file", plain[:2000], "ends too early"},
		{"gzip's checksum", damaged, "checksum"},
		{"tar's checksum", header, "not an archive"},
		{"garbage after gzip", append(bytes.Clone(good), "garbage"...), "follows"},
		{"garbage after the archive", zip(t, append(bytes.Clone(plain), "garbage"...)), "follows"},
		{"a broken stream after gzip", append(bytes.Clone(good), 0x1f, 0x8b, 1), "ends too early"},
		{"another archive after it", zip(t, append(bytes.Clone(plain), plain...)), "follows"},
		{"absolute", archiveOf(t, entry("/package/a", "")), "absolute"},
		{"up", archiveOf(t, entry("package/../../a", "")), "leads out"},
		{"up in the first element", archiveOf(t, entry("../a", "")), "leads out"},
		{"a directory up", archiveOf(t, tar.Header{Name: "package/../..", Typeflag: tar.TypeDir}), "leads out"},
		{"a device", archiveOf(t, tar.Header{Name: "package/null", Typeflag: tar.TypeChar}), "neither a file"},
		{"a pipe", archiveOf(t, tar.Header{Name: "package/p", Typeflag: tar.TypeFifo}), "neither a file"},
	} {
		_, _, err := list(c.b)
		var format *FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	zeros := zip(t, append(bytes.Clone(plain), make([]byte, 20_480)...))
	if _, _, err := list(append(zeros, 0, 0, 0)); err == nil {
		t.Error("zeros after gzip are no padding of an archive")
	}
	half := len(plain) / 2
	if _, _, err := list(append(zip(t, plain[:half]), zip(t, plain[half:])...)); err != nil {
		t.Errorf("two gzip streams: %v", err)
	}
	if _, _, err := list(zeros); err != nil {
		t.Errorf("padding: %v", err)
	}
}

// A bomb gives an archive of one header and zeros for ever.
type bomb struct {
	head []byte
}

func (b *bomb) Read(p []byte) (int, error) {
	if len(b.head) > 0 {
		n := copy(p, b.head)
		b.head = b.head[n:]
		return n, nil
	}
	clear(p)
	return len(p), nil
}

func TestBombs(t *testing.T) {
	header := func(size int64) []byte {
		var b bytes.Buffer
		if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Name: "package/a", Typeflag: tar.TypeReg, Size: size}); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	skip := func(File, io.Reader) error { return nil }
	if _, err := Read(&bomb{header(3 << 30)}, skip); err == nil || !strings.Contains(err.Error(), "bytes of files") {
		t.Errorf("a file of 3 GiB: %v", err)
	}
	stop := errors.New("stop")
	if _, err := Read(&bomb{header(1)}, func(File, io.Reader) error { return stop }); err != stop {
		t.Errorf("the visitor's error: %v", err)
	}
	var directory bytes.Buffer
	if err := tar.NewWriter(&directory).WriteHeader(&tar.Header{Name: "package/d/", Typeflag: tar.TypeDir}); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(&repeated{block: directory.Bytes()}, skip); err == nil || !strings.Contains(err.Error(), "entries") {
		t.Errorf("entries without end: %v", err)
	}
}

// repeated gives one block for ever.
type repeated struct {
	block []byte
	at    int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.block[r.at:])
	r.at = (r.at + n) % len(r.block)
	return n, nil
}

func FuzzRead(f *testing.F) {
	f.Add(archiveOf(f, entry("package/package.json", "{}"), entry("package/.gitignore", "g")))
	f.Add(zip(f, archiveOf(f, entry("package/a", "a"), tar.Header{Name: "package/s", Typeflag: tar.TypeSymlink, Linkname: "x"})))
	f.Fuzz(func(t *testing.T, b []byte) {
		files, _, err := list(b)
		if err != nil {
			return
		}
		for _, f := range files {
			if strings.HasPrefix(f, "/") || strings.HasPrefix(f, "../") || strings.Contains(f, "/../") && !strings.Contains(f, " ") {
				t.Errorf("takes %q", f)
			}
		}
	})
}
