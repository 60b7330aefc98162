package vpn

import (
	"cmp"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/secret"
)

// codeSecretNotFound is what AWS's Secrets Manager answers for an unknown secret.
const codeSecretNotFound = "ResourceNotFoundException"

// keepSecret names the secret that keeps the keys of c, or none, as its option
// says: one secret a connection, owned by the service (vpn §2.2).
func keepSecret(c *resource.VPNConnection) {
	if c.Options.KeyStorage != resource.KeysInSecret {
		c.Options.SecretARN = ""
		return
	}
	c.Options.SecretARN = resource.ARN("secretsmanager", resource.DefaultRegion, c.OwnerID, "secret:s2svpn!"+string(c.ID))
}

// withheld is c as descriptions show it: without the keys that a secret keeps.
func withheld(c resource.VPNConnection) resource.VPNConnection {
	if c.Options.SecretARN != "" {
		for i := range c.Tunnels {
			c.Tunnels[i].PreSharedKey = secret.Secret{}
		}
	}
	return c
}

// GetVPNConnectionSecret returns the keys of the two tunnels from the secret of
// arn, as who owns it may read them. Code: ResourceNotFoundException.
func GetVPNConnectionSecret(tx *store.Tx, who resource.Account, arn string) (keys [2]secret.Secret, err error) {
	for _, c := range store.VPNConnections.List(tx) {
		if arn != "" && c.OwnerID == who && c.Options.SecretARN == arn && c.State != resource.StateDeleted {
			return [2]secret.Secret{c.Tunnels[0].PreSharedKey, c.Tunnels[1].PreSharedKey}, nil
		}
	}
	return keys, resource.Errorf(codeSecretNotFound, "the secret %s does not exist", cmp.Or(arn, `""`))
}
