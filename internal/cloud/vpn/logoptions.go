package vpn

import (
	"regexp"

	"seikan/internal/cloud/resource"
)

// TunnelLogsInput is what a request says of a tunnel's two logs (vpn §2.1).
type TunnelLogsInput struct{ Activity, BGP TunnelLogInput }

// A TunnelLogInput is what a request says of one log. Nil and empty values mean
// the defaults: off, and json.
type TunnelLogInput struct {
	Enabled  *bool
	GroupARN string // of a log group; needed to switch the log on
	Format   string // json (default), text
}

// logGroup is the shape of a log group's ARN; AWS appends ":*" in some answers.
var logGroup = regexp.MustCompile(`^arn:aws[a-zA-Z-]*:logs:[a-z0-9-]+:\d{12}:log-group:[.\-_/#A-Za-z0-9]{1,512}(:\*)?$`)

// log checks the options of one log, which are called prefix and name and then
// Enabled, GroupArn, OutputFormat.
func (c *checker) log(prefix, name string, in TunnelLogInput) resource.TunnelLog {
	out := resource.TunnelLog{Enabled: in.Enabled != nil && *in.Enabled, GroupARN: in.GroupARN}
	group := prefix + name + "GroupArn"
	switch {
	case out.Enabled && in.GroupARN == "":
		c.refuse(resource.CodeMissingParameter, group, "is required while %s%sEnabled is true; give the log group's ARN", prefix, name)
	case in.GroupARN != "" && !logGroup.MatchString(in.GroupARN):
		c.fail(group, "%q is not the ARN of a log group, such as arn:aws:logs:us-east-1:111111111111:log-group:/aws/vendedlogs/vpn", in.GroupARN)
	}
	format := prefix + name + "OutputFormat"
	out.Format = c.word(format, in.Format, resource.LogJSON, resource.LogText)
	return out
}
