package cli

import (
	"io"

	"github.com/spf13/cobra"

	"seikan/internal/gateway/conffile"
)

func newGatewayExample(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:     "example",
		Short:   "Print a configuration file to start from",
		Example: "  seikan gateway example > gateway.yaml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(s.out, conffile.Example)
			return err
		},
	}
}

func newGatewaySchema(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration file, for editors",
		Long: `Prints the JSON Schema (draft 2020-12) of Seikan's own YAML. An editor with the
YAML language server uses it when the file begins with the line

  # yaml-language-server: $schema=seikan-gateway.schema.json

What "seikan gateway check" says counts: a schema cannot know how values go together.
` + exitHelp,
		Example: "  seikan gateway schema > seikan-gateway.schema.json",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			b, err := conffile.Schema()
			if err != nil {
				return err
			}
			_, err = s.out.Write(b)
			return err
		},
	}
}
