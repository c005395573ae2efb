package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
)

// ParseExact reads NAME@VERSION.
func ParseExact(cmd *cobra.Command, s string) (records.Name, records.Version, error) {
	name, v, err := parseNameVersion(cmd, s)
	if err == nil && v == "" {
		err = Usagef(cmd, "%q has no version; write NAME@VERSION", s)
	}
	return name, v, err
}

// ParseConstraint reads NAME, NAME@VERSION, NAME@RANGE or NAME@TAG.
func ParseConstraint(cmd *cobra.Command, s string) (records.Name, string, error) {
	n, constraint := s, ""
	if i := strings.LastIndexByte(s, '@'); i > 0 {
		n, constraint = s[:i], strings.TrimSpace(s[i+1:])
	}
	name, err := records.ParseName(n)
	if err != nil {
		return "", "", Usagef(cmd, "%v", err)
	}
	want, err := npmrange.ParseConstraint(constraint)
	if err != nil {
		return "", "", Usagef(cmd, "%q %v", constraint, err)
	}
	if want.Kind == npmrange.Version { // without what people type around it
		constraint = string(want.Version)
	}
	return name, constraint, nil
}

// parseNameVersion reads NAME or NAME@VERSION.
func parseNameVersion(cmd *cobra.Command, s string) (records.Name, records.Version, error) {
	n, v := s, ""
	if i := strings.LastIndexByte(s, '@'); i > 0 {
		n, v = s[:i], s[i+1:]
	}
	name, err := records.ParseName(n)
	if err != nil {
		return "", "", Usagef(cmd, "%v", err)
	}
	if v == "" {
		return name, "", nil
	}
	version, err := npmrange.ParseVersion(v)
	if err != nil {
		return "", "", Usagef(cmd, "%v", err)
	}
	return name, version, nil
}

// ParseAge reads what a min-age line says.
func ParseAge(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	units := map[string]time.Duration{"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	for suffix, unit := range units {
		if digits, ok := strings.CutSuffix(s, suffix); ok {
			if n, err := strconv.Atoi(digits); err == nil && n > 0 && n <= 9999 {
				return time.Duration(n) * unit, nil
			}
		}
	}
	return 0, fmt.Errorf("%.20q is not a duration such as 72h, 3d or 2w", s)
}
