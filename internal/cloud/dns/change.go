package dns

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"seikan/internal/cloud/dns/zone"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Limits of one batch (pl §3.5); an UPSERT counts twice.
const (
	maxBatchValues = 1000
	maxBatchOctets = 32000
)

// An Action is what a Change does.
type Action string

// Actions.
const (
	Create Action = "CREATE" // fails if the set exists
	Delete Action = "DELETE" // the set must equal the one that exists
	Upsert Action = "UPSERT"
)

// A Change is one change of a batch.
type Change struct {
	Action    Action
	RecordSet resource.RecordSet
}

// ChangeResourceRecordSets makes all the changes, in order, or none. Codes:
// NoSuchHostedZone; InvalidChangeBatch, whose message is AWS's list of texts,
// "[text, text]".
func ChangeResourceRecordSets(tx *store.Tx, who resource.Account, id resource.HostedZoneID, changes []Change) error {
	z, err := GetHostedZone(tx, who, id)
	if err != nil {
		return err
	}
	if err := checkSize(changes); err != nil {
		return err
	}
	var faults []string
	for _, c := range changes {
		set, err := canonical(z, c.RecordSet)
		if err == nil {
			c.RecordSet = set
			z.Records, err = apply(z.Records, c)
		}
		if err != nil {
			faults = append(faults, err.Error())
		}
	}
	if len(faults) == 0 {
		if _, err := compile(z); err != nil {
			faults = append(faults, err.Error())
		}
	}
	switch {
	case len(faults) > 0:
	case len(z.Records) > maxRecords:
		faults = append(faults, fmt.Sprintf("the hosted zone would have %d resource record sets, at most %d", len(z.Records), maxRecords))
	case !slices.ContainsFunc(z.Records, func(r resource.RecordSet) bool { return r.Name == z.Name && r.Type == "NS" }):
		faults = append(faults, "A HostedZone must contain at least one NS record for the zone itself.")
	}
	if len(faults) > 0 {
		return resource.Errorf(codeInvalidBatch, "[%s]", strings.Join(faults, ", "))
	}
	slices.SortFunc(z.Records, compare)
	store.HostedZones.Put(tx, id, z)
	return nil
}

func checkSize(changes []Change) error {
	values, octets := 0, 0
	for _, c := range changes {
		times := 1
		if c.Action == Upsert {
			times = 2
		}
		values += times * len(c.RecordSet.Values)
		for _, v := range c.RecordSet.Values {
			octets += times * len(v)
		}
	}
	switch {
	case len(changes) == 0:
		return resource.Errorf(codeInvalidBatch, "[the batch is empty]")
	case len(changes) > maxBatchValues || values > maxBatchValues:
		return resource.Errorf(codeInvalidBatch, "[Number of records limit of %d exceeded.]", maxBatchValues)
	case octets > maxBatchOctets:
		return resource.Errorf(codeInvalidBatch, "[Number of characters limit of %d exceeded.]", maxBatchOctets)
	}
	return nil
}

// A fault is one message of an InvalidChangeBatch, in AWS's words, which
// clients match.
type fault string

func (f fault) Error() string { return string(f) }

func faultf(format string, args ...any) error { return fault(fmt.Sprintf(format, args...)) }

// apply makes one change to records.
func apply(records []resource.RecordSet, c Change) ([]resource.RecordSet, error) {
	set := c.RecordSet
	i := slices.IndexFunc(records, func(r resource.RecordSet) bool { return r.Name == set.Name && r.Type == set.Type })
	shown := fmt.Sprintf("resource record set [name='%s', type='%s']", set.Name, set.Type)
	switch c.Action {
	case Create:
		if i >= 0 {
			return records, faultf("Tried to create %s but it already exists", shown)
		}
		return append(records, set), nil
	case Upsert:
		if i < 0 {
			return append(records, set), nil
		}
		records = slices.Clone(records)
		records[i] = set
		return records, nil
	case Delete:
		if i < 0 {
			return records, faultf("Tried to delete %s but it was not found", shown)
		}
		if !equal(records[i], set) {
			return records, faultf("Tried to delete %s but the values provided do not match the current values", shown)
		}
		return slices.Delete(slices.Clone(records), i, i+1), nil
	}
	return records, faultf("action %q is none of CREATE, DELETE, UPSERT", c.Action)
}

func equal(a, b resource.RecordSet) bool {
	if (a.Alias == nil) != (b.Alias == nil) || a.Alias != nil && *a.Alias != *b.Alias || a.TTL != b.TTL {
		return false
	}
	return slices.Equal(slices.Sorted(slices.Values(a.Values)), slices.Sorted(slices.Values(b.Values)))
}

// canonical gives a set the form in which it is kept, and checks what an alias
// stands for.
func canonical(z resource.HostedZone, set resource.RecordSet) (resource.RecordSet, error) {
	name, err := zone.ParseName(set.Name)
	if err != nil {
		return set, faultf("FATAL problem: InvalidDomainName: %v", err)
	}
	set.Name = name.String()
	if origin, err := zone.ParseName(z.Name); err != nil || !name.Under(origin) {
		return set, faultf("RRSet with DNS name %s is not permitted in zone %s", set.Name, z.Name)
	}
	if set.Alias == nil {
		return set, nil
	}
	alias := *set.Alias
	target, err := zone.ParseName(alias.DNSName)
	if err != nil {
		return set, faultf("alias target: %v", err)
	}
	alias.DNSName = target.String()
	alias.HostedZoneID = string(CleanZoneID(alias.HostedZoneID))
	set.Alias = &alias
	return set, checkAlias(z, set)
}

// aliasZones are the hosted zones of names that aliases may stand for, and how
// those names end (pl §3.4).
var aliasZones = map[string]string{
	"Z7HUB22UULQXV":  ".vpce.amazonaws.com.",
	"Z26RNL4JYFTOTI": ".amazonaws.com.",
}

func checkAlias(z resource.HostedZone, set resource.RecordSet) error {
	shown := fmt.Sprintf("Tried to create an alias that targets %s, type %s in zone %s, but ", set.Alias.DNSName, set.Type, set.Alias.HostedZoneID)
	if set.Alias.HostedZoneID == string(z.ID) {
		if set.Alias.DNSName != z.Name && !strings.HasSuffix(set.Alias.DNSName, "."+z.Name) {
			return faultf("%sthe alias target name does not lie within the target zone", shown)
		}
		return nil
	}
	suffix, ok := aliasZones[set.Alias.HostedZoneID]
	if !ok {
		return faultf("%sthe hosted zone was not found", shown)
	}
	if !strings.HasSuffix(set.Alias.DNSName, suffix) {
		return faultf("%sthe alias target name does not lie within the target zone", shown)
	}
	return nil
}

// compile makes of a row what answers questions.
func compile(z resource.HostedZone) (*zone.Zone, error) {
	origin, err := zone.ParseName(z.Name)
	if err != nil {
		return nil, err
	}
	var records []zone.Record
	for _, set := range z.Records {
		name, err := zone.ParseName(set.Name)
		if err != nil {
			return nil, err
		}
		r := zone.Record{Name: name, Type: set.Type, TTL: set.TTL, Values: set.Values}
		if set.Alias != nil {
			if r.Alias, err = zone.ParseName(set.Alias.DNSName); err != nil {
				return nil, err
			}
		}
		records = append(records, r)
	}
	return zone.New(origin, records)
}

// compare orders record sets as Route 53 lists them: reversed labels, then type.
func compare(a, b resource.RecordSet) int {
	x, errX := zone.ParseName(a.Name)
	y, errY := zone.ParseName(b.Name)
	if errX != nil || errY != nil {
		return strings.Compare(a.Name, b.Name)
	}
	return cmp.Or(x.Compare(y), strings.Compare(a.Type, b.Type))
}

// ListResourceRecordSets lists the sets of a zone in Route 53's order. Code:
// NoSuchHostedZone.
func ListResourceRecordSets(tx *store.Tx, who resource.Account, id resource.HostedZoneID) ([]resource.RecordSet, error) {
	z, err := GetHostedZone(tx, who, id)
	return z.Records, err
}
