// Aftercare derives dated aftercare plans from surgery that a FHIR R4 feed reports, and
// serves them. This package wires the parts together and owns the life of the process:
// the commands, the exit codes, the signals, and the environment, which nothing else
// reads.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	_ "time/tzdata" // an image from scratch has no time zones of its own

	"aftercare/config"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // a wrong command, flag, argument or setting
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is the program: args without the program's name, environ like os.Environ. It
// returns the exit code once everything that it started has stopped; ctx ends it.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	p := &program{environ: environ, stdout: stdout, stderr: stderr}
	root := p.commands()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var failed failure
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &failed):
		fmt.Fprintln(stderr, "aftercare:", failed.error)
		return exitFailed
	default:
		fmt.Fprintln(stderr, "aftercare:", err)
		return exitUsage
	}
}

// failure marks an error that is not the fault of how the program was called.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// misuse marks an error of how the program was called that shows where a command works.
type misuse struct{ error }

// misused is such an error: what is wrong with a flag or an argument.
func misused(format string, args ...any) error { return misuse{fmt.Errorf(format, args...)} }

// program is what the commands share.
type program struct {
	environ        []string
	stdout, stderr io.Writer
	file           string // of --config
}

// config reads the settings; its error is one of wrong usage.
func (p *program) config() (config.Config, error) {
	cfg, err := config.Load(p.environ, p.file)
	if err != nil {
		return cfg, fmt.Errorf("the configuration is not acceptable:\n%w", err)
	}
	return cfg, nil
}

// run makes a command's body out of a function that needs the configuration.
func (p *program) run(body func(ctx context.Context, cfg config.Config, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cfg, err := p.config()
		if err != nil {
			return err
		}
		err = body(cmd.Context(), cfg, args)
		if err == nil || errors.As(err, new(misuse)) {
			return err
		}
		return failure{err}
	}
}
