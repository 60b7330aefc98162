// Package service says by which files a machine runs the gateway as a service of
// systemd: the unit, the user it runs as, and who may read its configuration.
//
// It is pure: it names files and their text. The command line writes them, and
// make package puts them into a package.
package service

import (
	_ "embed"
	"fmt"
	"path"
	"strings"
)

// Names that the service is known by. The state directory and that of the
// control socket are made by systemd and belong to User.
const (
	Unit    = "seikan-gateway.service"
	User    = "seikan"
	Config  = "/etc/seikan/gateway.yaml"
	State   = "/var/lib/seikan-gateway"
	Control = "/run/seikan-gateway/control.sock"
)

// A Layout is where the files go.
type Layout struct {
	Binary string // of seikan, where the unit finds it; absolute
	Config string // the gateway's file; absolute
	// Base is /etc for an administrator, who has the last word there, and
	// /usr/lib for a package.
	Base string
}

// A File is one of them.
type File struct {
	Path, Text string
}

//go:embed seikan-gateway.service
var unit string

// users makes the user (sysusers.d(5)).
const users = `# The user that the gateway runs as.
u ` + User + ` - "Seikan gateway" ` + State + `
`

// permissions let that user, and nobody else, read the configuration with its
// keys, and make a directory for its records (tmpfiles.d(5)).
const permissions = `# The gateway's configuration holds keys: its user reads it, and nobody else.
d %[1]s 0750 root ` + User + ` -
z %[1]s/* 0600 ` + User + ` ` + User + ` -
# Whoever makes links and routes for Seikan records them here.
d /run/seikan-netns 1775 root ` + User + ` -
`

// Files are the service's files, the unit first. An error says which path will
// not do.
func Files(l Layout) ([]File, error) {
	for _, p := range []string{l.Binary, l.Config, l.Base} {
		// systemd takes % and quotes for its own, and blanks for the end.
		if !path.IsAbs(p) || path.Clean(p) != p || strings.ContainsAny(p, " \t\n%$\"'\\;") {
			return nil, fmt.Errorf("path %q: an absolute path is wanted, without blanks, quotes, %% and $", p)
		}
	}
	for _, hidden := range []string{"/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"} {
		for _, p := range []string{l.Binary, l.Config} {
			if strings.HasPrefix(p, hidden) {
				return nil, fmt.Errorf("path %s: the service does not see %s; choose one below /usr/local or /etc", p, path.Clean(hidden))
			}
		}
	}
	return []File{
		{path.Join(l.Base, "systemd/system", Unit), strings.NewReplacer("@BINARY@", l.Binary, "@CONFIG@", l.Config).Replace(unit)},
		{path.Join(l.Base, "sysusers.d/seikan.conf"), users},
		{path.Join(l.Base, "tmpfiles.d/seikan.conf"), fmt.Sprintf(permissions, path.Dir(l.Config))},
	}, nil
}
