package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCommand is "sockeye version".
type versionCommand struct {
	JSON bool `name:"json" help:"Write it as JSON."`
}

// Help is shown below the flags.
func (*versionCommand) Help() string {
	return `Examples:

  sockeye version
  sockeye version --json | jq -r .revision`
}

// build is what a binary knows about itself.
type build struct {
	Version  string `json:"version"`            // "(devel)" if it was built from a checkout
	Revision string `json:"revision,omitempty"` // of the checkout
	Modified bool   `json:"modified,omitempty"` // the checkout had changes
	Time     string `json:"time,omitempty"`     // of the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// Run prints the version.
func (c *versionCommand) Run(s streams) error {
	b := thisBuild()
	if c.JSON {
		return json.NewEncoder(s.out).Encode(b)
	}
	text := "sockeye " + b.Version
	if b.Revision != "" {
		text += " " + b.Revision[:min(12, len(b.Revision))]
		if b.Modified {
			text += " with changes"
		}
	}
	_, err := fmt.Fprintf(s.out, "%s, %s, %s\n", text, b.Go, b.Platform)
	return err
}
