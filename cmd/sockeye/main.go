// Command sockeye is the command line of Sockeye, Socket.IO for Go.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
)

// The exit codes of the command.
const (
	exitOK    = 0
	exitError = 1 // what was asked for could not be done
	exitUsage = 2 // the command line is wrong
)

// commands is the command line; every command is a struct with a Run method, in a file of its own.
type commands struct {
	Serve  serveCommand  `cmd:"" help:"Run the demo: a chat and the transport lab."`
	Doctor doctorCommand `cmd:"" help:"Examine a Socket.IO server: what works, what doesn't, what to change."`
}

// streams are where a command reads and writes.
type streams struct {
	out, err io.Writer
}

func main() {
	os.Exit(run(os.Args[1:], streams{os.Stdout, os.Stderr}))
}

// run executes a command line and returns the exit code.
func run(args []string, s streams) int {
	exit := -1
	parser, err := kong.New(&commands{},
		kong.Name("sockeye"),
		kong.Description("Socket.IO for Go."),
		kong.Writers(s.out, s.err),
		kong.Exit(func(code int) { exit = code }),
		kong.Bind(s),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}),
	)
	if err != nil {
		panic(err) // the struct above is wrong
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
			fmt.Fprintf(s.err, "sockeye: %s\n", text)
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
