package endpoint

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// forInstalling are the fields of a version in the abbreviated form.
var forInstalling = map[string]bool{
	"name": true, "version": true, "dist": true, "deprecated": true, "bin": true, "directories": true, "engines": true, "os": true, "cpu": true,
	"libc": true, "dependencies": true, "devDependencies": true, "optionalDependencies": true, "peerDependencies": true,
	"peerDependenciesMeta": true, "bundleDependencies": true, "bundledDependencies": true, "acceptDependencies": true,
	"hasInstallScript": true, "_hasShrinkwrap": true, "funding": true,
}

type members = map[string]jsontext.Value

// lenient reads what registries have served for fifteen years.
var lenient = json.JoinOptions(json.Deterministic(true), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))

// passOn writes what a registry says of a version, with its tarball at url.
func passOn(version jsontext.Value, form Form, url string) ([]byte, error) {
	var all members
	if err := json.Unmarshal(version, &all, lenient); err != nil {
		return nil, fmt.Errorf("pass on a version: %v", err)
	}
	var dist members
	if err := json.Unmarshal(all["dist"], &dist, lenient); err != nil || dist == nil {
		return nil, fmt.Errorf("pass on a version: it has no dist: %v", err)
	}
	tarball, err := jsontext.AppendQuote(nil, url)
	if err != nil {
		return nil, err
	}
	dist["tarball"] = tarball
	if all["dist"], err = json.Marshal(dist, lenient); err != nil {
		return nil, err
	}
	if form == Abbreviated {
		if _, said := all["hasInstallScript"]; !said && runsScripts(all) {
			all["hasInstallScript"] = jsontext.Value("true")
		}
		for name := range all {
			if !forInstalling[name] {
				delete(all, name)
			}
		}
	}
	return json.Marshal(all, lenient)
}

// runsScripts reports whether npm would run something at install, by the full form.
func runsScripts(version members) bool {
	if string(version["gypfile"]) == "true" {
		return true
	}
	var scripts members
	if json.Unmarshal(version["scripts"], &scripts, lenient) != nil {
		return false
	}
	for _, name := range []string{"preinstall", "install", "postinstall"} {
		if script := string(scripts[name]); script != "" && script != `""` {
			return true
		}
	}
	return false
}
