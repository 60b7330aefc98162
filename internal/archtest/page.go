package archtest

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A kind says what a package may do beside importing.
type kind int

const (
	shell    kind = iota // the world: sockets, clock, kernel
	engine               // no clock, no printing, no environment
	testOnly             // imported by tests alone
)

// A row is a package's place in the table of layers.
type row struct {
	layer int
	kind  kind
}

// A door is a foreign library and the packages that may import it.
type door struct {
	library  string
	packages []string // "lab/…" stands for lab and all below it
}

// admits reports whether the package may import the library.
func (d door) admits(name string) bool {
	for _, p := range d.packages {
		if p == name {
			return true
		}
		if under, ok := strings.CutSuffix(p, "/…"); ok && (name == under || strings.HasPrefix(name, under+"/")) {
			return true
		}
	}
	return false
}

// page is what the rules take from docs/ARCHITECTURE.md.
type page struct {
	rows  map[string]row
	doors []door
}

// door finds the door of an import path.
func (p page) door(path string) (door, bool) {
	for _, d := range p.doors {
		if path == d.library || strings.HasPrefix(path, d.library+"/") {
			return d, true
		}
	}
	return door{}, false
}

// quoted finds what stands in backquotes.
var quoted = regexp.MustCompile("`([^`]+)`")

func words(cell string) (out []string) {
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		out = append(out, m[1])
	}
	return out
}

// parsePage reads the two tables that the markers announce.
func parsePage(text string) (page, error) {
	p := page{rows: map[string]row{}}
	layers, err := table(text, "layers", 4)
	if err != nil {
		return page{}, err
	}
	for _, cells := range layers {
		layer, err := strconv.Atoi(cells[0])
		if err != nil {
			return page{}, fmt.Errorf("table of layers: %q is not a number", cells[0])
		}
		for i, k := range []kind{engine, shell, testOnly} {
			for _, name := range words(cells[i+1]) {
				if _, twice := p.rows[name]; twice {
					return page{}, fmt.Errorf("table of layers: %s stands in it twice", name)
				}
				p.rows[name] = row{layer: layer, kind: k}
			}
		}
	}
	doors, err := table(text, "doors", 3)
	if err != nil {
		return page{}, err
	}
	for _, cells := range doors {
		library := words(cells[0])
		if len(library) != 1 {
			return page{}, fmt.Errorf("table of doors: %q is not one library in backquotes", cells[0])
		}
		p.doors = append(p.doors, door{library: library[0], packages: words(cells[1])})
	}
	return p, nil
}

// table returns the body of the Markdown table after the marker with that name.
func table(text, name string, columns int) (rows [][]string, err error) {
	_, rest, ok := strings.Cut(text, "<!-- archtest: "+name+" -->")
	if !ok {
		return nil, fmt.Errorf("no marker <!-- archtest: %s -->", name)
	}
	head := 2 // the head and the line under it
	for line := range strings.Lines(strings.TrimLeft(rest, "\n")) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			break
		}
		if head > 0 {
			head--
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != columns {
			return nil, fmt.Errorf("table of %s: %q has %d cells, want %d", name, line, len(cells), columns)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if len(rows) == 0 {
		return nil, errors.New("table of " + name + " is empty")
	}
	return rows, nil
}
