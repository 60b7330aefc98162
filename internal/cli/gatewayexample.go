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
