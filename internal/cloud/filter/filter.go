// Package filter chooses among rows as the filters of AWS's Describe operations
// do: values of one filter are alternatives, every filter must hold, and values
// may have wildcards (vpn §1.8).
//
// It knows no noun: a feature gives it a table of the filters that an operation
// has and what a row has for each. It changes nothing and keeps nothing. Any
// feature of the cloud may use it.
package filter

import (
	"maps"
	"slices"
	"strings"

	"seikan/internal/cloud/resource"
)

// A Filter is one of a request. Values are alternatives: at most 200, each at
// most 255 characters. In them * is any number of characters, ? is one or none,
// and \ takes the meaning from the character after it; else letters are compared
// as they are, case and all (EC2 User Guide, "List and filter using the CLI and
// API").
type Filter struct {
	Name   string
	Values []string
}

// Fields are the filters of an operation by name, each with what a row has for
// it: nothing, or several values of which one must match.
type Fields[T any] map[string]func(T) []string

// The limits of a request, by the same page.
const (
	maxFilters = 50
	maxValues  = 200
	maxLength  = 255 // characters of a value
)

// codeLimit is what AWS answers to more filters or values than that.
const codeLimit = "FilterLimitExceeded"

// The filters that every noun with tags has.
const (
	tagPrefix = "tag:"
	tagKey    = "tag-key"
)

// Select returns the rows that pass all filters, in their order. Those of tags it
// has by itself. Codes: InvalidParameterValue for a filter that the operation
// does not have, or without values; FilterLimitExceeded.
func Select[T any](rows []T, fields Fields[T], tags func(T) resource.Tags, filters []Filter) ([]T, error) {
	if len(filters) > maxFilters {
		return nil, resource.Errorf(codeLimit, "The maximum number of filters specified on a single call is %d", maxFilters)
	}
	var conditions []condition[T]
	for _, f := range filters {
		c, err := newCondition(f, fields, tags)
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, c)
	}
	return slices.DeleteFunc(slices.Clone(rows), func(row T) bool {
		return slices.ContainsFunc(conditions, func(c condition[T]) bool { return !c.holds(row) })
	}), nil
}

// A condition is one filter, ready to be asked.
type condition[T any] struct {
	of       func(T) []string
	patterns []pattern
}

func newCondition[T any](f Filter, fields Fields[T], tags func(T) resource.Tags) (c condition[T], err error) {
	key, ofTag := strings.CutPrefix(f.Name, tagPrefix)
	switch {
	case ofTag:
		c.of = func(row T) []string {
			if value, has := tags(row)[key]; has {
				return []string{value}
			}
			return nil
		}
	case f.Name == tagKey:
		c.of = func(row T) []string { return slices.Collect(maps.Keys(tags(row))) }
	default:
		c.of = fields[f.Name]
	}
	switch {
	case c.of == nil:
		// These are AWS's words, which programs look for.
		return c, resource.Errorf(resource.CodeInvalidParameterValue, "The filter '%s' is invalid", f.Name)
	case len(f.Values) == 0:
		return c, resource.Errorf(resource.CodeInvalidParameterValue, "Filter: %s has no value; give at least one", f.Name)
	case len(f.Values) > maxValues:
		return c, resource.Errorf(codeLimit, "The maximum number of filter values specified on a single call is %d", maxValues)
	}
	for _, v := range f.Values {
		p := newPattern(v)
		if len(p) > maxLength {
			return c, resource.Errorf(resource.CodeInvalidParameterValue, "Filter: a value of %s has %d characters, at most %d", f.Name, len(p), maxLength)
		}
		c.patterns = append(c.patterns, p)
	}
	return c, nil
}

func (c condition[T]) holds(row T) bool {
	for _, value := range c.of(row) {
		if slices.ContainsFunc(c.patterns, func(p pattern) bool { return p.matches(value) }) {
			return true
		}
	}
	return false
}

// YesNo is how filters spell a switch: true or false.
func YesNo(on bool) []string {
	if on {
		return []string{"true"}
	}
	return []string{"false"}
}

// EnableDisable is how filters spell an option of a transit gateway.
func EnableDisable(on bool) []string {
	if on {
		return []string{"enable"}
	}
	return []string{"disable"}
}

// One is a value that a row may lack: nothing when it is empty.
func One[S ~string](value S) []string {
	if value == "" {
		return nil
	}
	return []string{string(value)}
}
