package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"seikan/internal/lab/server"
	"seikan/internal/lab/topology"
)

// runServers starts what the sites and the instances serve.
func (l *Lab) runServers(ctx context.Context, ready func()) error {
	l.cfg.Inside.Progress("starting the servers")
	if err := l.certificates(); err != nil {
		return err
	}
	var started []string
	defer func() {
		for _, h := range started {
			l.programs.stop(h)
		}
	}()
	for _, name := range l.t.Machines() {
		p, serves := l.serverOf(name)
		if !serves {
			continue
		}
		if err := l.programs.start(ctx, p); err != nil {
			return err
		}
		started = append(started, name)
	}
	ready()
	<-ctx.Done()
	return nil
}

// certificates makes the lab's authority, which lives only here, and a
// certificate for each web server: for its own name and for every name of the
// topology by which it may be reached.
func (l *Lab) certificates() error {
	ca, err := server.NewAuthority("Seikan lab " + l.t.Name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.path(certsDir), 0o700); err != nil {
		return err
	}
	var names []string
	for _, z := range l.t.Cloud.Zones {
		names = append(names, z.Name, "*."+z.Name)
	}
	for _, v := range l.t.Cloud.VPCs {
		for _, i := range v.Instances {
			if i.Service != topology.HTTPS {
				continue
			}
			own := append([]string{i.Name}, names...)
			if i.Address.IsValid() {
				own = append(own, i.Address.String())
			}
			cert, key, err := ca.Issue(own...)
			if err != nil {
				return err
			}
			if err := errors.Join(os.WriteFile(l.certFile(i.Name), cert, 0o644), os.WriteFile(l.keyFile(i.Name), key, 0o600)); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(l.Authority(), ca.PEM(), 0o644)
}

func (l *Lab) certFile(name string) string { return l.path(certsDir, name+".pem") }
func (l *Lab) keyFile(name string) string  { return l.path(certsDir, name+".key") }

// Hidden verbs of the command line by which the hosts' programs are started.
const (
	ServerVerb = "lab-server"
	ClientVerb = "lab-client"
)

// serverOf is the program that a host or an instance runs, if any.
func (l *Lab) serverOf(name string) (program, bool) {
	l.mu.Lock()
	p := program{Host: name, Namespace: l.namespaces[name], TellsReady: true}
	l.mu.Unlock()
	if h, _, ok := l.t.Host(name); ok {
		if h.Role != topology.DNSServer {
			return program{}, false
		}
		p.Args = dnsArgs(h)
		return p, true
	}
	i, _, _ := l.t.Instance(name)
	if p.Namespace == "" {
		return program{}, false // there is no cloud
	}
	switch i.Service {
	case topology.HTTPS:
		p.Args = []string{ServerVerb, "https", "--name", name, "--listen", ":443", "--plain", ":80", "--cert", l.certFile(name), "--key", l.keyFile(name)}
	case topology.FTP:
		port := fmt.Sprint(i.PassivePort)
		p.Args = []string{ServerVerb, "ftp", "--name", name, "--listen", ":21", "--passive", port + "-" + port, "--file", FTPFile + "=" + fmt.Sprint(FTPSize)}
	default:
		return program{}, false
	}
	p.Args = append(p.Args, "--ready-fd", "3")
	return p, true
}

// The file that an FTP server of the lab offers, and its size in octets.
const (
	FTPFile = "hello.bin"
	FTPSize = 1 << 20
)

// dnsArgs tells the DNS server of a site its zones and forwarders.
func dnsArgs(h topology.Host) []string {
	args := []string{ServerVerb, "dns", "--listen", netip.AddrPortFrom(h.Address, 53).String(), "--ready-fd", "3"}
	for _, z := range h.Zones {
		args = append(args, "--zone", z.Name)
		for _, r := range z.Records {
			args = append(args, "--record", z.Name+"="+RecordLine(r))
		}
	}
	for _, f := range h.Forwarders {
		to := ""
		for i, a := range f.To {
			if i > 0 {
				to += ","
			}
			to += netip.AddrPortFrom(a, 53).String()
		}
		args = append(args, "--forward", f.Zone+"="+to)
	}
	return args
}

// RecordLine is a record as a zone file has it.
func RecordLine(r topology.Record) string {
	value := r.Value
	switch r.Type {
	case "TXT":
		value = fmt.Sprintf("%q", value)
	case "CNAME":
		value += "."
	}
	return fmt.Sprintf("%s %d IN %s %s", r.Name, int(r.TTL.Seconds()), r.Type, value)
}
