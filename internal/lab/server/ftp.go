package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An FTPConfig says how to serve FTP (RFC 959, RFC 2428).
type FTPConfig struct {
	Name      string
	Listen    string     // such as ":21"
	Advertise netip.Addr // what PASV answers; the zero value is the connection's own address
	// FirstPort to LastPort are the passive ports. One transfer holds one.
	FirstPort, LastPort uint16
	Files               map[string]int64 // name to size; the content is zeros
	Log                 *slog.Logger
}

// Bounds of a session: a client that says nothing for ftpIdle, or that does not
// come for its data within ftpData, is let go.
const (
	ftpIdle     = 2 * time.Minute
	ftpData     = 10 * time.Second
	maxSessions = 64
)

// ServeFTP serves until ctx ends, and calls ready when it listens. It serves
// anonymous downloads by passive transfer only.
func ServeFTP(ctx context.Context, cfg FTPConfig, ready func()) error {
	if cfg.FirstPort == 0 || cfg.LastPort < cfg.FirstPort {
		return fmt.Errorf("passive ports %d-%d: a range of ports from 1 to 65535 belongs here", cfg.FirstPort, cfg.LastPort)
	}
	ln, err := net.Listen("tcp4", cfg.Listen)
	if err != nil {
		return err
	}
	var sessions sync.WaitGroup
	defer sessions.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	ready()
	slots := make(chan struct{}, maxSessions)
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case slots <- struct{}{}:
		default:
			// Full: the newest is turned away, as a busy server says.
			fmt.Fprint(conn, "421 too many sessions\r\n")
			conn.Close()
			continue
		}
		sessions.Go(func() {
			defer func() { <-slots }()
			s := &ftpSession{cfg: cfg, conn: conn}
			s.serve(ctx)
		})
	}
}

// An ftpSession is one control connection.
type ftpSession struct {
	cfg  FTPConfig
	conn net.Conn
	user bool
	in   bool
	pasv *net.TCPListener
}

func (s *ftpSession) serve(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { s.conn.Close() })()
	defer s.conn.Close()
	defer s.closePassive()
	s.reply(220, s.cfg.Name+" is ready")
	lines := bufio.NewReaderSize(s.conn, 1024)
	for {
		s.conn.SetDeadline(time.Now().Add(ftpIdle))
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return // gone, silent, or a line longer than the buffer
		}
		verb, arg := parseCommand(string(line))
		if verb == "QUIT" {
			s.reply(221, "goodbye")
			return
		}
		s.command(verb, arg)
	}
}

// parseCommand splits a command line into its upper-case verb and its argument.
func parseCommand(line string) (verb, arg string) {
	verb, arg, _ = strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	return strings.ToUpper(verb), strings.TrimSpace(arg)
}

// reply writes one line; an error shows at the next read.
func (s *ftpSession) reply(code int, text string) { fmt.Fprintf(s.conn, "%d %s\r\n", code, text) }

func (s *ftpSession) command(verb, arg string) {
	switch verb {
	case "USER":
		s.user, s.in = strings.EqualFold(arg, "anonymous") || strings.EqualFold(arg, "ftp"), false
		s.reply(331, "any password will do")
		return
	case "PASS":
		if s.in = s.user; s.in {
			s.reply(230, "welcome")
		} else {
			s.reply(530, "only anonymous may log in")
		}
		return
	case "NOOP":
		s.reply(200, "fine")
		return
	case "SYST":
		s.reply(215, "UNIX Type: L8")
		return
	}
	if !s.in {
		s.reply(530, "log in first: USER anonymous")
		return
	}
	s.loggedIn(verb, arg)
}

func (s *ftpSession) loggedIn(verb, arg string) {
	name := strings.TrimPrefix(arg, "/")
	size, exists := s.cfg.Files[name]
	switch verb {
	case "TYPE":
		s.reply(200, "type is "+arg)
	case "PWD":
		s.reply(257, `"/" is where you are`)
	case "SIZE":
		if !exists {
			s.reply(550, "no such file")
			return
		}
		s.reply(213, strconv.FormatInt(size, 10))
	case "EPSV", "PASV":
		s.passive(verb)
	case "LIST", "NLST":
		s.transfer("the list", func(w io.Writer) error { return s.list(w, verb) })
	case "RETR":
		if !exists {
			s.closePassive()
			s.reply(550, "no such file")
			return
		}
		s.transfer(name, func(w io.Writer) error {
			_, err := io.CopyN(w, zeros{}, size)
			return err
		})
	case "PORT", "EPRT":
		s.reply(502, "this server opens no connections; use EPSV or PASV")
	default:
		s.reply(502, "this server does not know "+strconv.Quote(verb))
	}
}

func (s *ftpSession) list(w io.Writer, verb string) error {
	for name, size := range s.cfg.Files {
		format := "-r--r--r-- 1 ftp ftp %12[2]d Jan  1 00:00 %[1]s\r\n"
		if verb == "NLST" {
			format = "%[1]s\r\n%.0[2]d"
		}
		if _, err := fmt.Fprintf(w, format, name, size); err != nil {
			return err
		}
	}
	return nil
}

// passive listens on a free passive port and says which.
func (s *ftpSession) passive(verb string) {
	s.closePassive()
	for port := int(s.cfg.FirstPort); port <= int(s.cfg.LastPort); port++ {
		ln, err := net.ListenTCP("tcp4", &net.TCPAddr{Port: port})
		if err != nil {
			continue
		}
		s.pasv = ln
		if verb == "EPSV" {
			s.reply(229, fmt.Sprintf("Entering Extended Passive Mode (|||%d|)", port))
			return
		}
		addr := s.cfg.Advertise
		if !addr.IsValid() {
			addr = peer(s.conn.LocalAddr())
		}
		a := addr.As4()
		s.reply(227, fmt.Sprintf("Entering Passive Mode (%d,%d,%d,%d,%d,%d)", a[0], a[1], a[2], a[3], port>>8, port&0xff))
		return
	}
	s.reply(425, "every passive port is in use; try again")
}

func (s *ftpSession) closePassive() {
	if s.pasv != nil {
		s.pasv.Close()
		s.pasv = nil
	}
}

// transfer waits for the client's data connection and writes to it.
func (s *ftpSession) transfer(what string, write func(io.Writer) error) {
	if s.pasv == nil {
		s.reply(425, "use EPSV or PASV first")
		return
	}
	defer s.closePassive()
	s.reply(150, "here comes "+what)
	data, err := s.accept()
	if err != nil {
		s.reply(425, "no data connection: "+err.Error())
		return
	}
	err = write(&patient{data})
	if e := data.Close(); err == nil {
		err = e
	}
	if err != nil {
		s.reply(426, "the data connection broke")
		return
	}
	s.reply(226, "that was "+what)
}

var errStranger = errors.New("it came from another address than the control connection")

// accept takes the data connection, which must come from where the control
// connection does: anybody else could steal the file.
func (s *ftpSession) accept() (net.Conn, error) {
	s.pasv.SetDeadline(time.Now().Add(ftpData))
	data, err := s.pasv.Accept()
	if err != nil {
		return nil, err
	}
	if from := peer(data.RemoteAddr()); from != peer(s.conn.RemoteAddr()) {
		s.cfg.Log.Warn("data connection refused", "from", from, "control", s.conn.RemoteAddr())
		data.Close()
		return nil, errStranger
	}
	return data, nil
}

// peer is the address without the port.
func peer(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// patient writes with a deadline that moves on with every write: a client that
// takes nothing for ftpIdle is let go, a slow one is not.
type patient struct{ net.Conn }

func (p *patient) Write(b []byte) (int, error) {
	p.SetWriteDeadline(time.Now().Add(ftpIdle))
	return p.Conn.Write(b)
}
