package ikev2

import (
	"bytes"
	"io"

	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// A drawn is the randomness that our key of an exchange was made of. It makes
// the same key again after a restart.
type drawn struct {
	group  suite.Group
	octets secret.Secret
	public []byte // to know it again by
}

// draw makes a key of group g and remembers what it was made of.
func (m *Machine) draw(g suite.Group) (*suite.Exchange, drawn, error) {
	seen := bytes.NewBuffer(make([]byte, 0, maxDrawn))
	x, err := suite.NewExchange(g, io.TeeReader(m.cfg.Tuning.Rand, seen))
	if err != nil {
		return nil, drawn{}, err
	}
	d := drawn{group: g, octets: secret.New(seen.Bytes()), public: x.Public()}
	clear(seen.Bytes())
	return x, d, nil
}

// maxDrawn is more octets than a private key is drawn from, so that no copy is
// left behind where a buffer grew.
const maxDrawn = 4096

// code codes d and returns the key, x itself to a writer. It is nil where none
// was made yet.
func (d *drawn) code(c *codec, x *suite.Exchange) *suite.Exchange {
	number(c, &d.group)
	c.hidden(&d.octets)
	c.octets(&d.public)
	if !c.reading || c.err != nil || d.group == 0 {
		return x
	}
	r := bytes.NewReader(d.octets.Reveal())
	x, err := suite.NewExchange(d.group, r)
	if err != nil || r.Len() > 0 || !bytes.Equal(x.Public(), d.public) {
		c.fail("key of %v cannot be made again", d.group)
		return nil
	}
	return x
}
