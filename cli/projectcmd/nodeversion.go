package projectcmd

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// nodeWait is how long node may take to say its version.
const nodeWait = 2 * time.Second

// nodeVersion returns the version of the node on PATH, without its v, or "". One that
// lies in a node_modules came with a package, and nothing of a package is run.
func nodeVersion(ctx context.Context) string {
	program, err := exec.LookPath("node")
	if err != nil {
		return ""
	}
	real, err := filepath.EvalSymlinks(program)
	if err != nil || inModules(program) || inModules(real) {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, nodeWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--version")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(strings.TrimSpace(line), "v")
}

func inModules(path string) bool {
	return slices.Contains(strings.Split(filepath.ToSlash(path), "/"), "node_modules")
}
