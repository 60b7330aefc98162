package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

// ftp is the FTP client: it logs in as anonymous and retrieves one file over a
// passive connection. It asks by EPSV (RFC 2428 section 3), whose answer is a
// port alone, so no translation on the way has to rewrite it.
func ftp(ctx context.Context, q Question, r *Result) error {
	u, err := url.Parse(q.Target)
	if err != nil || u.Scheme != "ftp" || u.Hostname() == "" {
		return fmt.Errorf("target %q is not ftp://host/path", q.Target)
	}
	port := u.Port()
	if port == "" {
		port = "21"
	}
	conn, err := dial(ctx, q, net.JoinHostPort(u.Hostname(), port), r)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	r.FTP = &FTPResult{}
	s := &session{text: textproto.NewConn(conn)}
	if r.FTP.Greeting, err = s.expect(220); err != nil {
		return err
	}
	return s.retrieve(ctx, q, strings.TrimPrefix(u.Path, "/"), r)
}

// A session is one FTP control connection.
type session struct{ text *textproto.Conn }

func (s *session) expect(code int) (string, error) {
	_, msg, err := s.text.ReadResponse(code)
	if _, ok := err.(*textproto.Error); ok {
		return msg, fmt.Errorf("the server says %v: %w", err, errRefused)
	}
	return msg, err
}

func (s *session) command(code int, format string, args ...any) (string, error) {
	if err := s.text.PrintfLine(format, args...); err != nil {
		return "", err
	}
	return s.expect(code)
}

func (s *session) retrieve(ctx context.Context, q Question, path string, r *Result) error {
	if _, err := s.command(331, "USER anonymous"); err != nil {
		return err
	}
	if _, err := s.command(230, "PASS lab@"); err != nil {
		return err
	}
	if _, err := s.command(200, "TYPE I"); err != nil {
		return err
	}
	reply, err := s.command(229, "EPSV")
	if err != nil {
		return err
	}
	port, err := parseEPSV(reply)
	if err != nil {
		return err
	}
	// The data goes to the address of the control connection: to the endpoint,
	// not to whatever the server believes its address to be.
	r.FTP.Data = netip.AddrPortFrom(r.Remote.Addr(), port)
	var side Result
	data, err := dial(ctx, q, r.FTP.Data.String(), &side)
	if err != nil {
		return fmt.Errorf("data connection: %w", err)
	}
	defer data.Close()
	if deadline, ok := ctx.Deadline(); ok {
		data.SetDeadline(deadline)
	}
	if _, err := s.command(150, "RETR %s", path); err != nil {
		return err
	}
	if r.Bytes, err = io.Copy(io.Discard, data); err != nil {
		return fmt.Errorf("after %d bytes: %w", r.Bytes, err)
	}
	if _, err := s.expect(226); err != nil {
		return err
	}
	_, err = s.command(221, "QUIT")
	return err
}

// parseEPSV takes the port out of "Entering Extended Passive Mode (|||1024|)";
// the delimiter may be any character (RFC 2428 section 3).
func parseEPSV(reply string) (uint16, error) {
	open := strings.IndexByte(reply, '(')
	if open < 0 || len(reply) < open+7 {
		return 0, fmt.Errorf("EPSV answer %q has no (|||port|)", reply)
	}
	delim := reply[open+1 : open+2]
	fields := strings.Split(reply[open+1:], delim)
	if len(fields) != 5 || fields[1] != "" || fields[2] != "" || !strings.HasPrefix(fields[4], ")") {
		return 0, fmt.Errorf("EPSV answer %q has no (|||port|)", reply)
	}
	port, err := strconv.ParseUint(fields[3], 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("EPSV answer %q has no port", reply)
	}
	return uint16(port), nil
}
