package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"seikan/internal/lab"
	"seikan/internal/lab/sandbox"
)

func newLabEvents(s *streams) *cobra.Command {
	var name string
	var asJSON bool
	c := &cobra.Command{
		Use:   "events",
		Short: "Print what AWS Health would tell the owners of the VPN connections",
		Long: `Prints events of the VPN connections, the oldest first:

  AWS_VPN_REDUNDANCY_LOSS             an endpoint has been replaced
  AWS_VPN_SINGLE_TUNNEL_NOTIFICATION  one tunnel was up and the other one down for
                                      more than an hour of a day
  AWS_VPN_TUNNEL_MAINTENANCE_PENDING  with lifecycle control: an endpoint will be
                                      replaced (AWS publishes no code for this)

With --json each is a line, as EventBridge delivers it (source aws.health).
` + exitHelp,
		Example: "  seikan lab replace 203.0.113.10 && seikan lab events\n  seikan lab events --json | jq .detail.eventTypeCode",
		Args:    arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			h, _, err := sandbox.Find(base(), name)
			if err != nil {
				return err
			}
			resp, err := lab.AskLab(c.Context(), h, lab.Request{Verb: lab.VerbStatus})
			if err != nil {
				return err
			}
			return printEvents(s, resp.Status.Events, asJSON)
		},
	}
	c.Flags().StringVar(&name, "name", "", "name of the lab (default: the only one)")
	c.Flags().BoolVar(&asJSON, "json", false, "print a line of JSON an event")
	registerLabs(c)
	return c
}

func printEvents(s *streams, events []lab.HealthEvent, asJSON bool) error {
	if asJSON {
		for _, e := range events {
			if _, err := fmt.Fprintf(s.out, "%s\n", e.Event); err != nil {
				return err
			}
		}
		return nil
	}
	if len(events) == 0 {
		_, err := fmt.Fprintln(s.err, "there are no events")
		return err
	}
	t := newTable("TIME", "CONNECTION", "EVENT", "WHAT")
	for _, e := range events {
		t.add(e.Time.Format(time.RFC3339), e.Connection, e.Code, e.Text)
	}
	return t.print(s.out)
}
