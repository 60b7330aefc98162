package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"seikan/internal/site/device"
	"seikan/internal/site/intake"
)

// listedDevice is a device as --json prints it, with AWS's names of what
// GetVpnConnectionDeviceTypes answers.
type listedDevice struct {
	VpnConnectionDeviceTypeId string
	Vendor, Platform          string
	Software                  string
	Name                      string
	IKEVersions, Routing      []string
	Run                       bool
	Notes                     []string
}

func newGatewayDevices(s *streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "devices",
		Short: "List the devices of other makers that export writes a configuration for",
		Long: `Lists devices by name, with what they speak. TESTED is "run" where our tests run the
device with what export writes, and "syntax" where it is only held to a grammar of the
device's commands that we wrote, and was not run on a device.
` + exitHelp,
		Example: "  seikan gateway devices\n  seikan gateway devices --json",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			all, err := device.Types()
			if err != nil {
				return err
			}
			if asJSON {
				var out []listedDevice
				for _, d := range all {
					out = append(out, listedDevice{d.ID, d.Vendor, d.Platform, d.Software, d.Name, d.IKE, d.Routing, d.Run, d.Notes})
				}
				return printJSON(s, out)
			}
			t := newTable("NAME", "ID", "VENDOR", "PLATFORM", "SOFTWARE", "IKE", "ROUTING", "TESTED")
			for _, d := range all {
				tested := "syntax"
				if d.Run {
					tested = "run"
				}
				t.add(d.Name, d.ID, d.Vendor, d.Platform, d.Software, strings.Join(d.IKE, " "), strings.Join(d.Routing, " "), tested)
			}
			return t.print(s.out)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// export is what the user says of a device.
type export struct {
	input
	device, version, linkName, local, out string
	force                                 bool
}

func newGatewayExport(s *streams) *cobra.Command {
	var e export
	c := &cobra.Command{
		Use:   "export FILE --device NAME",
		Short: "Write the configuration of another maker's device for a connection",
		Long: filesHelp + `

Writes what a device needs, of those that "seikan gateway devices" lists, to be the
customer gateway: both tunnels, with the true suites and lifetimes where FILE says
them, right behind NAT. What the device cannot do is refused, and what it is not told
stands at the head of the first file. The text holds the pre-shared keys: with -o the
files get mode 0600. Nothing is started.
` + exitHelp,
		Example: `  seikan gateway devices
  seikan gateway export aws.json --device fortigate --advertise 192.168.1.0/24 > fortigate.conf
  seikan gateway export aws.xml --device cisco-iosxe --route 10.0.0.0/16 --ike-version ikev2 --outside-interface GigabitEthernet2
  seikan gateway export gateway.yaml --device strongswan -o ./files     # several files, below a directory
  seikan gateway export gateway.yaml --device frr                       # BGP for it`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error { e.file = args[0]; return e.run(s) },
	}
	e.flags(c)
	c.Flags().StringVar(&e.device, "device", "", "the device, by its `NAME` or ID")
	_ = c.MarkFlagRequired("device")
	_ = c.RegisterFlagCompletionFunc("device", completeDevices)
	c.Flags().StringVar(&e.version, "ike-version", "", "ikev1 or ikev2 (default: the best that device and connection have)")
	_ = c.RegisterFlagCompletionFunc("ike-version", cobra.FixedCompletions([]string{"ikev2", "ikev1"}, cobra.ShellCompDirectiveNoFileComp))
	c.Flags().StringVar(&e.linkName, "outside-interface", "", "the device's `NAME` of its interface to the internet (default: the vendor's first)")
	c.Flags().StringVar(&e.local, "local-address", "", "the device's own `ADDRESS` there, private behind NAT; some devices must be told")
	c.Flags().StringVarP(&e.out, "output", "o", "", "`DIRECTORY` to write the files below (default: all to standard output)")
	c.Flags().BoolVar(&e.force, "force", false, "replace files that are there")
	return c
}

// completeDevices completes names of devices.
func completeDevices(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, err := device.Types()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, d := range all {
		out = append(out, fmt.Sprintf("%s\t%s %s", d.Name, d.Vendor, d.Platform))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func (e export) run(s *streams) error {
	typ, err := device.Find(e.device)
	if errors.Is(err, device.ErrUnknown) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	choice := device.Choices{IKE: e.version, Interface: e.linkName}
	if e.version != "" && e.version != "ikev1" && e.version != "ikev2" {
		return usageError{fmt.Errorf("--ike-version %q is neither ikev1 nor ikev2", e.version)}
	}
	if e.local != "" {
		if choice.Local, err = netip.ParseAddr(e.local); err != nil {
			return usageError{fmt.Errorf("--local-address %q is no address such as 192.168.1.2", e.local)}
		}
	}
	e.options.Whole = true
	r, err := e.read(s)
	if err != nil {
		return err
	}
	files, err := device.Configure(typ, e.connection(r), choice)
	if err != nil {
		return err
	}
	if e.out == "" {
		return printFiles(s, files)
	}
	return e.write(s, files)
}

// connection is what a device is told.
func (e export) connection(r intake.Result) device.Connection {
	c := device.Connection{Gateway: r.Gateway, ID: r.Gateway.Name, Site: e.options.Advertise}
	if r.Ours() {
		return c
	}
	c.ID, c.GatewayID, c.CustomerGatewayID = r.AWS.ID, r.AWS.GatewayID, r.AWS.CustomerGatewayID
	c.Exact = r.AWS.Tunnels[0].Options != nil && r.AWS.Tunnels[1].Options != nil
	return c
}

// printFiles prints files, each below its name if there are several.
func printFiles(s *streams, files []device.File) error {
	for _, f := range files {
		text := f.Text
		if len(files) > 1 {
			text = fmt.Sprintf("==== %s ====\n%s", f.Path, f.Text)
		}
		if _, err := fmt.Fprint(s.out, text); err != nil {
			return err
		}
	}
	return nil
}

// write writes files below a directory, as they lie on the device.
func (e export) write(s *streams, files []device.File) error {
	for _, f := range files {
		path := filepath.Join(e.out, f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := writeSecret(path, []byte(f.Text), e.force); err != nil {
			return err
		}
		if strings.HasPrefix(f.Text, "#!") {
			if err := os.Chmod(path, 0o700); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(s.out, "%s: written\n", path); err != nil {
			return err
		}
	}
	return nil
}
