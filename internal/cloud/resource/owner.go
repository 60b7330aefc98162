package resource

// Operations ask the owner of every row that a request names, so that a foreign
// id is answered like one that does not exist.

// Owner is OwnerID.
func (r VPC) Owner() Account { return r.OwnerID }

// Owner is OwnerID.
func (r Subnet) Owner() Account { return r.OwnerID }

// Owner is OwnerID.
func (r RouteTable) Owner() Account { return r.OwnerID }

// Owner is OwnerID.
func (r SecurityGroup) Owner() Account { return r.OwnerID }

// Owner is OwnerID.
func (r NetworkInterface) Owner() Account { return r.OwnerID }

// Owner is OwnerID.
func (r Instance) Owner() Account { return r.OwnerID }

// Owner is OwnerID.
func (r CustomerGateway) Owner() Account { return r.OwnerID }

// Owner is OwnerID.
func (r VPNGateway) Owner() Account { return r.OwnerID }

// Owner is OwnerID.
func (r VPNConnection) Owner() Account { return r.OwnerID }
