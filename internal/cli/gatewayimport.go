package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"seikan/internal/gateway/conffile"
	"seikan/internal/site/intake"
)

// filesHelp is what files a gateway takes.
const filesHelp = `FILE is Seikan's own YAML ("seikan gateway example"), or what AWS gives: the XML
that it calls CustomerGatewayConfiguration, the text for the vendor Generic, or
the JSON that "aws ec2 describe-vpn-connections" prints. Which one it is is
recognised; "-" is standard input. JSON is best, for only it says which algorithms
a connection allows. What AWS's files do not say, flags do: --advertise with BGP,
--route without.`

// input is a configuration file, and what the user says beside one of AWS's.
type input struct {
	file              string
	options           intake.Options
	advertise, routes []string
}

// configFlags adds --config and the flags of AWS's files.
func (in *input) configFlags(c *cobra.Command) {
	c.Flags().StringVar(&in.file, "config", "", "configuration `FILE`, ours or AWS's")
	in.flags(c)
}

func (in *input) flags(c *cobra.Command) {
	c.Flags().StringArrayVar(&in.advertise, "advertise", nil, "AWS's files: a `NETWORK` here that AWS shall reach, such as 192.168.1.0/24; with BGP it is announced (repeatable)")
	c.Flags().StringArrayVar(&in.routes, "route", nil, "AWS's files, static connection: a `NETWORK` behind AWS, such as 10.0.0.0/16 (repeatable)")
	c.Flags().BoolVar(&in.options.AcceptDefault, "accept-default", false, "AWS's files, connection with BGP: let AWS announce a default route")
	c.Flags().StringVar(&in.options.Connection, "connection", "", "AWS's JSON: the connection to take of several, by `ID`, such as vpn-0123456789abcdef0")
	c.Flags().BoolVar(&in.options.SourceNAT, "source-nat", false, "AWS's files: give what leaves the tunnel's inside address for a source, so that AWS needs no route to us")
	c.Flags().BoolVar(&in.options.AllAlgorithms, "all-algorithms", false, "AWS's files: offer weak algorithms too; AWS then takes the weakest that it allows")
}

// read reads the file.
func (in *input) read(s *streams) (intake.Result, error) {
	var err error
	if in.options.Advertise, err = networks("advertise", in.advertise); err != nil {
		return intake.Result{}, err
	}
	if in.options.Routes, err = networks("route", in.routes); err != nil {
		return intake.Result{}, err
	}
	return intake.Read(in.file, s.in, in.options)
}

// networks reads the values of a flag.
func networks(flag string, list []string) (out []netip.Prefix, err error) {
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil || p.Addr().Is4In6():
			return nil, usageError{fmt.Errorf("--%s %q is not a network such as 192.168.1.0/24 or 2001:db8:1::/48", flag, text)}
		case p != p.Masked():
			return nil, usageError{fmt.Errorf("--%s %s has host bits set; the network is %v", flag, text, p.Masked())}
		}
		out = append(out, p)
	}
	return out, nil
}

func newGatewayImport(s *streams) *cobra.Command {
	var in input
	var out string
	var force bool
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Make a configuration file of what AWS lets you download",
		Long: filesHelp + `

Prints our YAML, with comments where something was worked out. It holds the
pre-shared keys: with -o the file gets mode 0600. Nothing is started.
` + exitHelp,
		Example: `  aws ec2 describe-vpn-connections --vpn-connection-ids vpn-0123456789abcdef0 |
    seikan gateway import - --route 10.0.0.0/16 -o gateway.yaml
  seikan gateway import vpn-0123456789abcdef0.txt --route 10.0.0.0/16
  seikan gateway import aws.xml --advertise 192.168.1.0/24 --advertise 192.168.2.0/24`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			in.file = args[0]
			r, err := in.read(s)
			if err != nil {
				return err
			}
			if r.Ours() {
				return fmt.Errorf("%s: this is %s already; run it as it is", in.file, r.Kind)
			}
			b, err := conffile.Annotate(r.File, r.Notes)
			if err != nil {
				return err
			}
			if out == "" {
				_, err = s.out.Write(b)
				return err
			}
			if err := writeSecret(out, b, force); err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.out, "%s: written, from %s; run `seikan gateway run --config %[1]s`\n", out, r.Kind)
			return err
		},
	}
	in.flags(c)
	c.Flags().StringVarP(&out, "output", "o", "", "`FILE` to write (default: standard output)")
	c.Flags().BoolVar(&force, "force", false, "replace the file of -o if there is one")
	return c
}

// writeSecret makes a file that only its owner can read. It is whole or not
// there; one that is there stays unless force is set.
func writeSecret(path string, b []byte, force bool) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".seikan-*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if force {
		return os.Rename(tmp.Name(), path)
	}
	if err := os.Link(tmp.Name(), path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; name another file, or replace it with --force", path)
	} else if err != nil {
		return err
	}
	return nil
}
