package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is the release that this source belongs to.
const Version = "0.1.0"

func (a App) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version of es",
		Args:  NoArguments,
		RunE:  func(cmd *cobra.Command, args []string) error { return a.runVersion() },
	}
}

func (a App) runVersion() error {
	v := map[string]string{"version": Version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "format": "1"}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v["revision"] = s.Value
			}
		}
	}
	if a.JSON {
		return a.Emit(v)
	}
	a.Printf("es %s (%s, %s, record format %s)", v["version"], v["go"], v["platform"], v["format"])
	return nil
}
