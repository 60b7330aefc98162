package gateway

import "slices"

// Effective returns c with the defaults of its tunnels filled in, for whoever
// must say in other words what c means.
func (c Config) Effective() Config {
	c.Tunnels = slices.Clone(c.Tunnels)
	for i, t := range c.Tunnels {
		c.Tunnels[i] = t.withDefaults()
	}
	return c
}
