package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"aftercare/config"

	"github.com/spf13/cobra"
)

// commands is the whole command line.
func (p *program) commands() *cobra.Command {
	root := &cobra.Command{
		Use:           "aftercare",
		Short:         "FHIR R4 service that turns reported surgery into dated aftercare plans",
		Long:          "Aftercare is a FHIR R4 service that turns reported surgery into dated aftercare plans.\nWithout a command it serves.",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().StringVar(&p.file, "config", "", "YAML `file` with settings; the environment wins over it")
	root.CompletionOptions.HiddenDefaultCmd = true

	serve := &cobra.Command{
		Use:   "serve",
		Short: "run the service (the default)",
		Long:  "Runs the service until SIGINT or SIGTERM; a second signal ends it at once.\n\n" + settingsHelp(),
		Args:  cobra.NoArgs,
		RunE: p.run(func(ctx context.Context, cfg config.Config, _ []string) error {
			return p.serve(ctx, cfg, nil)
		}),
	}
	root.RunE = serve.RunE

	var exit bool
	demo := &cobra.Command{
		Use:   "demo",
		Short: "run on a throw-away database with sample patients",
		Long:  "Runs the service on a database that is removed at the end, loads made-up patients, prints one care plan\nand what to try, and serves until Ctrl-C.",
		Args:  cobra.NoArgs,
		RunE: p.run(func(ctx context.Context, cfg config.Config, _ []string) error {
			return p.demo(ctx, cfg, exit)
		}),
	}
	demo.Flags().BoolVar(&exit, "exit", false, "stop after printing")

	load := &cobra.Command{
		Use:   "load FILE... | FOLDER",
		Short: "load Bundles or ndjson into the database, or all that was exported from another",
		Long:  loadHelp,
		Args:  cobra.MinimumNArgs(1),
		RunE:  p.run(p.load),
	}
	var partSize int64
	export := &cobra.Command{
		Use:   "export FOLDER",
		Short: "write everything that the database holds into a folder, to move it or to keep a copy",
		Long:  exportHelp,
		Args: func(cmd *cobra.Command, args []string) error {
			if partSize < 1 {
				return errors.New("--part-size must be 1 or more")
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: p.run(func(ctx context.Context, cfg config.Config, args []string) error {
			return p.export(ctx, cfg, args[0], partSize<<20)
		}),
	}
	export.Flags().Int64Var(&partSize, "part-size", 64, "largest size of a file in `MiB`; one version may be larger")
	migrate := &cobra.Command{
		Use:   "migrate",
		Short: "bring the database to this version's schema and stop",
		Long:  "Brings the database to this version's schema and stops. It may run beside the service, and several times at once.\nA database with the schema of a newer version is refused.",
		Args:  cobra.NoArgs,
		RunE:  p.run(p.migrate),
	}
	var all bool
	reindex := &cobra.Command{
		Use:   "reindex [TYPE...]",
		Short: "index what is stored for new search parameters, or all of it again, with progress",
		Long:  reindexHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if all && len(args) > 0 {
				return errors.New("give either types or --all")
			}
			return nil
		},
		RunE: p.run(func(ctx context.Context, cfg config.Config, args []string) error {
			return p.reindex(ctx, cfg, args, all)
		}),
	}
	reindex.Flags().BoolVar(&all, "all", false, "index all types again")
	var live bool
	check := &cobra.Command{
		Use:   "check",
		Short: "ask the running service whether it is ready; for probes",
		Args:  cobra.NoArgs,
		RunE: p.run(func(ctx context.Context, cfg config.Config, _ []string) error {
			return p.check(ctx, cfg, live)
		}),
	}
	check.Flags().BoolVar(&live, "live", false, "ask only whether it answers")
	version := &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.stdout, versionLine())
			return err
		},
	}
	root.AddCommand(serve, demo, load, export, migrate, reindex, p.clientCommand(), p.auditCommand(), check, version)
	return root
}

// settingsHelp is the list of settings as a table.
func settingsHelp() string {
	var b strings.Builder
	b.WriteString("Settings (environment variable, default, meaning; --config FILE takes the same names in lower case\nwithout AFTERCARE_):\n\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range config.Settings() {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", s.Name, s.Default, s.Meaning)
	}
	w.Flush()
	b.WriteString("\nThe file also takes auth_issuers and roles, which are lists; the README shows them.")
	b.WriteString("\nOTEL_* variables are those of OpenTelemetry; without an endpoint nothing is exported.")
	return b.String()
}
