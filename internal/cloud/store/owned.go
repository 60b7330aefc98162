package store

import (
	"strings"

	"seikan/internal/cloud/resource"
)

// An Owned row belongs to one account.
type Owned interface{ Owner() resource.Account }

// Find returns the row of id if who owns it. A foreign row and no row look the
// same: a *resource.Error of code, which is AWS's for the noun
// ("InvalidVpcID.NotFound").
func Find[K ~string, T Owned](tx *Tx, table Table[K, T], who resource.Account, id K, code string) (T, error) {
	row, ok := table.Get(tx, id)
	if !ok || row.Owner() != who {
		var zero T
		return zero, resource.Errorf(code, "the %s %q does not exist", strings.ReplaceAll(table.Name, "-", " "), string(id))
	}
	return row, nil
}

// Describe returns the rows of ids as Find does, or without ids all rows that
// who owns, in order of their keys.
func Describe[K ~string, T Owned](tx *Tx, table Table[K, T], who resource.Account, ids []K, code string) ([]T, error) {
	var rows []T
	if len(ids) == 0 {
		for _, row := range table.List(tx) {
			if row.Owner() == who {
				rows = append(rows, row)
			}
		}
		return rows, nil
	}
	for _, id := range ids {
		row, err := Find(tx, table, who, id, code)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}
