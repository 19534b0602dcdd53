// Command sockeye is the command line of Sockeye, Socket.IO for Go.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/complete"
	"github.com/sockeye-io/sockeye/cmd/sockeye/internal/show"
)

// The exit codes of the command.
const (
	exitOK      = 0
	exitError   = 1 // what was asked for could not be done
	exitUsage   = 2 // the command line is wrong
	exitConnect = 3 // there is no connection, or the server refuses
	exitCheck   = 4 // something was checked or waited for, in vain
)

// commands is the command line; every command is a struct with a Run method, in a file of its own.
type commands struct {
	globals

	Connect     connectCommand     `cmd:"" help:"Talk to a Socket.IO server: type events, see what arrives."`
	Emit        emitCommand        `cmd:"" help:"Send an event, or one for each line of standard input."`
	Listen      listenCommand      `cmd:"" help:"Write the events that arrive, one a line."`
	Load        loadCommand        `cmd:"" help:"Load a Socket.IO server with many clients, and measure."`
	Doctor      doctorCommand      `cmd:"" help:"Examine a Socket.IO server: what works, what doesn't, what to change."`
	Serve       serveCommand       `cmd:"" help:"Run the demo: a chat and the transport lab."`
	ClusterDemo clusterDemoCommand `cmd:"" help:"Run the demo on three servers behind a balancer, and kill one of them."`
	Completion  completionCommand  `cmd:"" help:"Print the completion for a shell."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

// Help is shown below the commands.
func (*commands) Help() string {
	return `Examples:

  sockeye serve                                     a server to try the rest with
  sockeye connect localhost:3000/chat               talk to it
  sockeye emit localhost:3000 hello '{"a":1}'       send one event
  sockeye listen localhost:3000 --json | jq .event  see what arrives
  sockeye doctor https://example.com                why doesn't it work?

Exit codes:

  0   done
  1   failed
  2   the command line is wrong
  3   there is no connection, or the server refuses
  4   checked or waited for something in vain: an acknowledgement, --count, --fail-if`
}

// streams are where a command reads and writes.
type streams struct {
	out, err io.Writer
}

func main() {
	os.Exit(run(os.Args[1:], streams{os.Stdout, os.Stderr}))
}

// newParser returns the parser of the command line. Exit is called when help has been printed.
func newParser(c *commands, s streams, exit func(int)) *kong.Kong {
	parser, err := kong.New(c,
		kong.Name("sockeye"),
		kong.Description("Socket.IO for Go: talk to servers, script them, and find out what is wrong with them."),
		kong.Writers(s.out, s.err),
		kong.Exit(exit),
		kong.Bind(s, stdin{os.Stdin}, &c.globals),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}),
	)
	if err != nil {
		panic(err) // the struct above is wrong
	}
	return parser
}

// run executes a command line and returns the exit code.
func run(args []string, s streams) int {
	exit := -1
	parser := newParser(&commands{}, s, func(code int) { exit = code })
	if len(args) > 0 && args[0] == complete.Command {
		completeWords(parser.Model, args[1:], s.out)
		return exitOK
	}
	ctx, err := parser.Parse(args)
	if exit >= 0 {
		return exit // --help has been answered
	}
	if err != nil {
		command := "sockeye"
		if p, ok := errors.AsType[*kong.ParseError](err); ok && p.Context.Selected() != nil {
			command += " " + p.Context.Selected().Name
		}
		fmt.Fprintf(s.err, "sockeye: %v\nRun \"%s --help\" to see what there is.\n", err, command)
		return exitUsage
	}
	if err := ctx.Run(); err != nil {
		if text := err.Error(); text != "" {
			fmt.Fprintf(s.err, "sockeye: %s\n", show.CleanLines(text))
		}
		if coded, ok := errors.AsType[interface {
			error
			ExitCode() int
		}](err); ok {
			return coded.ExitCode()
		}
		return exitError
	}
	return exitOK
}
