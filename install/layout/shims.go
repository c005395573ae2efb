package layout

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
)

// maxShim is more than the bytes of a shim.
const maxShim = 64 << 10

// shimNames returns the files that stand for a command on Windows.
func shimNames(at string) []string { return []string{at, at + ".cmd", at + ".ps1"} }

// writeShims writes what npm's cmd-shim 8 writes, so that a command starts from
// cmd.exe, from PowerShell and from a shell on Windows.
func (d *Dir) writeShims(b bin) error {
	contents, err := d.shims(b)
	if err != nil {
		return err
	}
	for i, content := range contents {
		name := shimNames(b.at)[i]
		if now, err := regularfile.ReadIn(d.root, filepath.FromSlash(name), maxShim); err == nil && string(now) == content {
			continue
		}
		if err := d.write(name, []byte(content), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// shims returns what the files of shimNames hold for a command.
func (d *Dir) shims(b bin) ([]string, error) {
	text, err := regularfile.ReadIn(d.root, filepath.FromSlash(b.file()), records.MaxModuleSize)
	if err != nil {
		return nil, err
	}
	s := newShim(string(text[:min(len(text), 1024)]), filepath.ToSlash(linkTarget(b.at, b.file())))
	return []string{s.sh(), s.cmd(), s.ps1()}, nil
}

// isShim reports whether the file at a path is one of b's as es writes them.
func (d *Dir) isShim(b bin, at string) bool {
	contents, err := d.shims(b)
	i := slices.Index(shimNames(b.at), at)
	if err != nil || i < 0 {
		return false
	}
	now, err := regularfile.ReadIn(d.root, filepath.FromSlash(at), maxShim)
	return err == nil && string(now) == contents[i]
}

// A shim is what a program's first line says about how to start it.
type shim struct {
	target string // relative to the directory of the shim, with '/'
	prog   string // "" to start the target itself
	args   string
	vars   string // NAME=VALUE ..., each followed by a space
}

var shebang = regexp.MustCompile(`^#!\s*(?:/usr/bin/env\s+(?:-S\s+)?((?:[^ \t=]+=[^ \t=]+\s+)*))?([^ \t]+)(.*)$`)

func newShim(text, target string) shim {
	first, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	m := shebang.FindStringSubmatch(strings.TrimRight(first, "\r"))
	if m == nil || !plainShebang(first) {
		return shim{target: target}
	}
	return shim{target: target, vars: m[1], prog: m[2], args: strings.TrimSpace(m[3])}
}

// plainShebang keeps the first line of an untrusted file from becoming more
// than a program and its arguments in three shell languages.
func plainShebang(line string) bool {
	for _, r := range strings.TrimRight(line, "\r")[2:] {
		plain := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !plain && !strings.ContainsRune(" \t/_-.=:+,@", r) {
			return false
		}
	}
	return true
}

func (s shim) cmd() string {
	head := "@ECHO off\r\nGOTO start\r\n:find_dp0\r\nSET dp0=%~dp0\r\nEXIT /b\r\n:start\r\nSETLOCAL\r\nCALL :find_dp0\r\n"
	target := `"%dp0%\` + strings.ReplaceAll(s.target, "/", `\`) + `"`
	if s.prog == "" {
		return head + target + "   %*\r\n"
	}
	return head + s.setCommands() + "\r\n" +
		`IF EXIST "%dp0%\` + s.prog + `.exe" (` + "\r\n" +
		`  SET "_prog=%dp0%\` + s.prog + `.exe"` + "\r\n" +
		") ELSE (\r\n" +
		`  SET "_prog=` + s.prog + `"` + "\r\n" +
		"  SET PATHEXT=%PATHEXT:;.JS;=;%\r\n" +
		")\r\n\r\n" +
		`endLocal & goto #_undefined_# 2>NUL || title %COMSPEC% & "%_prog%" ` + s.args + " " + target + " %*\r\n"
}

// setCommands sets the variables of a line such as "#!/usr/bin/env -S A=b node".
func (s shim) setCommands() string {
	var b strings.Builder
	for _, v := range strings.Fields(s.vars) {
		name, value, _ := strings.Cut(v, "=")
		b.WriteString("@SET " + name + "=" + value + "\r\n")
	}
	return b.String()
}

func (s shim) sh() string {
	head := "#!/bin/sh\n" +
		`basedir=$(dirname "$(echo "$0" | sed -e 's,\\,/,g')")` + "\n\n" +
		"case `uname` in\n" +
		"    *CYGWIN*|*MINGW*|*MSYS*)\n" +
		"        if command -v cygpath > /dev/null 2>&1; then\n" +
		"            basedir=`cygpath -w \"$basedir\"`\n" +
		"        fi\n" +
		"    ;;\n" +
		"esac\n\n"
	target := `"$basedir/` + s.target + `"`
	if s.prog == "" {
		return head + "exec " + target + `   "$@"` + "\n"
	}
	long := `"$basedir/` + s.prog + `"`
	return head +
		"if [ -x " + long + " ]; then\n" +
		"  exec " + s.vars + long + " " + s.args + " " + target + ` "$@"` + "\n" +
		"else \n" +
		"  exec " + s.vars + s.prog + " " + s.args + " " + target + ` "$@"` + "\n" +
		"fi\n"
}

func (s shim) ps1() string {
	head := "#!/usr/bin/env pwsh\n" +
		"$basedir=Split-Path $MyInvocation.MyCommand.Definition -Parent\n\n" +
		"$exe=\"\"\n" +
		"if ($PSVersionTable.PSVersion -lt \"6.0\" -or $IsWindows) {\n" +
		"  # Fix case when both the Windows and Linux builds of Node\n" +
		"  # are installed in the same directory\n" +
		"  $exe=\".exe\"\n" +
		"}\n"
	target := `"$basedir/` + s.target + `"`
	if s.prog == "" {
		return head + pipeline("", target+"  ") + "exit $LASTEXITCODE\n"
	}
	rest := " " + s.args + " " + target
	long := `"$basedir/` + s.prog + `$exe"`
	return head + "$ret=0\n" +
		"if (Test-Path " + long + ") {\n" + pipeline("  ", long+rest) + "  $ret=$LASTEXITCODE\n" +
		"} else {\n" + pipeline("  ", `"`+s.prog+`$exe"`+rest) + "  $ret=$LASTEXITCODE\n" +
		"}\nexit $ret\n"
}

func pipeline(indent, command string) string {
	return indent + "# Support pipeline input\n" +
		indent + "if ($MyInvocation.ExpectingInput) {\n" +
		indent + "  $input | & " + command + " $args\n" +
		indent + "} else {\n" +
		indent + "  & " + command + " $args\n" +
		indent + "}\n"
}
