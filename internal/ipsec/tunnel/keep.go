package tunnel

import (
	"crypto/sha256"

	"seikan/internal/ipsec/ike"
	"seikan/internal/secret"
)

// A keeper keeps the machine's state where it outlives the process.
type keeper interface {
	// Save keeps state in the place of what was kept; on an error nothing is
	// kept any more.
	Save(state secret.Secret) error
	// Drop makes what is kept worthless.
	Drop()
}

// keptState is what Keep was last given, to tell what has changed: nothing, or
// something with this hash.
type keptState struct {
	any bool
	sum [sha256.Size]byte
}

// keep keeps the machine's state if it has changed. It is called when inbound
// SAs are installed and nothing has been sent: what is kept never lags behind
// what the peer knows, so that no message id and no IV can be used twice.
func (t *Tunnel) keep() {
	if t.cfg.Keep == nil {
		return
	}
	var state secret.Secret
	if x, ok := t.cfg.Machine.(ike.Exporter); ok {
		state, _ = x.Export()
	}
	now := keptState{any: !state.IsZero(), sum: sha256.Sum256(state.Reveal())}
	if now == t.kept || !now.any && !t.kept.any {
		return
	}
	t.kept = now
	if !now.any {
		t.cfg.Keep.Drop()
		return
	}
	if err := t.cfg.Keep.Save(state); err != nil {
		// The tunnel itself is well: it goes on, and would begin anew.
		t.cfg.Log.Error("state cannot be kept; a restart would begin anew", "err", err)
	}
}
