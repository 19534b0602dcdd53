package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/complete"
)

// completionCommand is "sockeye completion".
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish,powershell" help:"bash, zsh, fish or powershell."`
}

// Help is shown below the flags.
func (*completionCommand) Help() string {
	return `Prints what makes the shell complete commands, flags and their values.

Examples:

  source <(sockeye completion bash)                                       in ~/.bashrc
  source <(sockeye completion zsh)                                        in ~/.zshrc, after compinit
  sockeye completion fish | source                                        in ~/.config/fish/config.fish
  sockeye completion powershell | Out-String | Invoke-Expression          in $PROFILE`
}

// Run prints the script.
func (c *completionCommand) Run(s streams) error {
	script, err := complete.Script(c.Shell)
	if err != nil {
		return err
	}
	_, err = io.WriteString(s.out, script)
	return err
}

// completeWords prints what the last of the words can be completed to. It is not a command of kong's, for what it is given
// is not finished: --transport without a value would be an error.
func completeWords(app *kong.Application, words []string, out io.Writer) {
	if n := len(words); n > 0 && words[n-1] == `""` {
		words[n-1] = "" // PowerShell drops arguments that are empty
	}
	r := complete.Words(app, words)
	w := bufio.NewWriter(out)
	for _, c := range r.Candidates {
		help, _, _ := strings.Cut(c.Help, "\n")
		fmt.Fprintf(w, "%s\t%s\n", c.Text, help)
	}
	if r.Files {
		fmt.Fprintln(w, ":files")
	}
	w.Flush()
}
