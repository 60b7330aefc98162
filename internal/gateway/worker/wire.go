package worker

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"seikan/internal/gateway"
	"seikan/internal/gateway/activity"
	"seikan/internal/secret"
)

// Every message on the pipes is one JSON value on one line.

// maxLine bounds one message: a thousand tunnels fit, or fifty with a thousand routes
// each whose paths are as long as routing/bgp shows any.
const maxLine = 64 << 20

// errLong is of a line of more than maxLine octets.
var errLong = fmt.Errorf("a message is longer than the %d MiB that one may have", maxLine>>20)

// A lineReader reads lines of at most most octets.
type lineReader struct {
	from *bufio.Reader
	most int
	line []byte
}

// next is the next line, without its end and until next is called again. One that is
// too long is read to its end and gives errLong; the line after it can be read. A
// line that breaks off is io.ErrUnexpectedEOF.
func (l *lineReader) next() ([]byte, error) {
	l.line = l.line[:0]
	long := false
	for {
		part, err := l.from.ReadSlice('\n')
		if long = long || len(l.line)+len(part) > l.most; !long {
			l.line = append(l.line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(l.line)+len(part) > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case long:
			return nil, errLong
		default:
			return l.line[:len(l.line)-1], nil
		}
	}
}

// firstSocket is the descriptor of the first socket handed over: after the
// three standard ones and the status pipe.
const firstSocket = 4

// An order is what the supervisor sends down: the whole configuration, each
// time. Keys travel beside it, since a secret refuses to be encoded: this pipe
// is between two processes of one owner and is seen by nobody else.
type order struct {
	Config  gateway.Config
	Secrets map[string]map[string][]byte // by tunnel ID, then by the secret's name
	// Outsides is how many outside addresses' sockets were handed over: UDP
	// 500, UDP 4500 and raw ESP for each. Only the first order has it.
	Outsides int `json:",omitempty"`
	// State is the directory for gateway.Options. Only the first order has it.
	State string `json:",omitempty"`
}

// A message is what the worker sends up: its status, and what it has said of its
// tunnels since the message before.
type message struct {
	gateway.Status
	Notices []activity.Notice `json:"notices,omitempty"`
}

// encodeOrder lays the keys of cfg beside it.
func encodeOrder(cfg gateway.Config, outsides int, state string) ([]byte, error) {
	o := order{Config: cfg, Secrets: map[string]map[string][]byte{}, Outsides: outsides, State: state}
	for _, t := range cfg.Tunnels {
		mine := map[string][]byte{}
		t.VisitSecrets(func(name string, s *secret.Secret) {
			if !s.IsZero() {
				mine[name] = s.Reveal()
			}
		})
		o.Secrets[t.ID] = mine
	}
	b, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encoding the worker's configuration: %w", err)
	}
	return append(b, '\n'), nil
}

// decodeOrder is the reverse of encodeOrder.
func decodeOrder(b []byte) (order, error) {
	var o order
	if err := json.Unmarshal(b, &o); err != nil {
		return order{}, fmt.Errorf("reading the worker's configuration: %w", err)
	}
	for i := range o.Config.Tunnels {
		t := &o.Config.Tunnels[i]
		t.VisitSecrets(func(name string, s *secret.Secret) {
			if key := o.Secrets[t.ID][name]; len(key) > 0 {
				*s = secret.New(key)
			}
		})
	}
	return o, nil
}
