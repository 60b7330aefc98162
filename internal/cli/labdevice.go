package cli

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"seikan/internal/lab"
	"seikan/internal/lab/sandbox"
	"seikan/internal/site/device"
)

// labDevice is what the user says of a device in a lab.
type labDevice struct {
	name, local string
	ask         lab.Sample
	export      export // where the files go
}

func newLabDeviceConfig(s *streams) *cobra.Command {
	var o labDevice
	c := &cobra.Command{
		Use:   "device-config CONNECTION --device NAME",
		Short: "Print what another maker's device needs to be the customer gateway of a connection",
		Long: `Asks the lab's cloud for the configuration of a device, as AWS's
GetVpnConnectionDeviceSampleConfiguration would give it for the running connection: its
keys, addresses, algorithms and routes, for a device at the place of the lab's own
customer gateway. "seikan gateway devices" lists the devices, and "seikan gateway export"
writes the same of a file. The text holds the pre-shared keys: with -o the files get
mode 0600. Nothing is changed.
` + exitHelp,
		Example: `  seikan gateway devices
  seikan lab device-config corp-vpn --device fortigate
  seikan lab device-config corp-vpn --device generic --sample-type recommended
  seikan lab device-config corp-vpn --device strongswan --ike-version ikev1 -o ./files`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			o.ask.Connection = args[0]
			if o.local != "" {
				var err error
				if o.ask.Local, err = netip.ParseAddr(o.local); err != nil {
					return usageError{fmt.Errorf("--local-address %q is no address such as 192.168.1.2", o.local)}
				}
			}
			h, _, err := sandbox.Find(base(), o.name)
			if err != nil {
				return err
			}
			resp, err := lab.AskLab(c.Context(), h, lab.Request{Verb: lab.VerbSample, Sample: &o.ask})
			if err != nil {
				return err
			}
			var files []device.File
			for _, f := range resp.Files {
				files = append(files, device.File(f))
			}
			if o.export.out == "" {
				return printFiles(s, files)
			}
			return o.export.write(s, files)
		},
	}
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "name of the lab (default: the only one)")
	f.StringVar(&o.ask.Device, "device", "", "the device, by its `NAME` or ID")
	_ = c.MarkFlagRequired("device")
	_ = c.RegisterFlagCompletionFunc("device", completeDevices)
	f.StringVar(&o.ask.IKE, "ike-version", "", "ikev1 or ikev2 (default: the best that device and connection have)")
	_ = c.RegisterFlagCompletionFunc("ike-version", cobra.FixedCompletions([]string{"ikev2", "ikev1"}, cobra.ShellCompDirectiveNoFileComp))
	f.StringVar(&o.ask.Type, "sample-type", "", "compatibility: all that both have; recommended: the best, IKEv2, nothing weak (default: compatibility)")
	_ = c.RegisterFlagCompletionFunc("sample-type", cobra.FixedCompletions([]string{"compatibility", "recommended"}, cobra.ShellCompDirectiveNoFileComp))
	f.StringVar(&o.ask.Interface, "outside-interface", "", "the device's `NAME` of its interface to the internet (default: the vendor's first)")
	f.StringVar(&o.local, "local-address", "", "the device's own `ADDRESS` there (default: that of the lab's customer gateway)")
	f.StringVarP(&o.export.out, "output", "o", "", "`DIRECTORY` to write the files below (default: all to standard output)")
	f.BoolVar(&o.export.force, "force", false, "replace files that are there")
	registerLabs(c)
	return c
}
