package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"seikan/internal/secret"
)

// rowVersion is the version of the envelope that this program writes. A newer
// one is read as far as it is understood, so that a machine of a cluster can be
// updated before another.
const rowVersion = 1

// An envelope is a row as it stands in etcd.
type envelope struct {
	Version int             `json:"v"`
	Row     json.RawMessage `json:"row"`
	// Secrets are the row's secrets by the name VisitSecrets gives them. They
	// are kept as they are: whoever reads the directory or the cluster reads
	// them.
	Secrets map[string][]byte `json:"secrets,omitempty"`
}

// A secretHolder is a row that holds secrets. Its secret fields are tagged
// json:"-", since a Secret refuses to be encoded; this is the one way by which
// they are stored.
type secretHolder interface {
	VisitSecrets(visit func(name string, s *secret.Secret))
}

// errNoRow is returned for bytes that are JSON but no envelope.
var errNoRow = errors.New("not an envelope with a version and a row")

// encodeRow encodes the row that the pointer row points to.
func encodeRow(row any) ([]byte, error) {
	body, err := json.Marshal(row)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	env := envelope{Version: rowVersion, Row: body}
	if h, ok := row.(secretHolder); ok {
		env.Secrets = make(map[string][]byte)
		h.VisitSecrets(func(name string, s *secret.Secret) {
			if !s.IsZero() {
				env.Secrets[name] = s.Reveal()
			}
		})
	}
	raw, err := json.Marshal(env)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return raw, nil
}

// decodeRow decodes raw into what the pointer row points to. Fields that this
// program does not know are skipped.
func decodeRow(raw []byte, row any) error {
	var env envelope
	if err := json.Unmarshal(raw, &env); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if env.Version < 1 || env.Row == nil {
		return fmt.Errorf("decode: %w", errNoRow)
	}
	if err := json.Unmarshal(env.Row, row); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if h, ok := row.(secretHolder); ok {
		h.VisitSecrets(func(name string, s *secret.Secret) { *s = secret.New(env.Secrets[name]) })
	}
	return nil
}
