package topology

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxSize bounds the file, in octets; a lab with hundreds of hosts is far
// below.
const maxSize = 1 << 20

// ReadFile is Parse of the file at path.
func ReadFile(path string) (*Topology, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	return Parse(path, b)
}

// Parse reads a topology. The name of the file only appears in errors, which
// are Problems.
func Parse(file string, b []byte) (*Topology, error) {
	d := &decoder{file: file, at: map[string]*yaml.Node{}}
	root, problem := document(file, b)
	if problem != nil {
		return nil, Problems{*problem}
	}
	d.refuseAliases(root)
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	t := d.topology(d.object(root, ""))
	if len(d.problems) == 0 {
		d.check(t)
	}
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	return t, nil
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// document returns the one document that b holds.
func document(file string, b []byte) (*yaml.Node, *Problem) {
	whole := func(line int, text string) *Problem { return &Problem{File: file, Line: line, Column: 1, Text: text} }
	if len(b) > maxSize {
		return nil, whole(1, fmt.Sprintf("is larger than %d bytes; a topology is a page or two", maxSize))
	}
	dec := yaml.NewDecoder(strings.NewReader(string(b)))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		return nil, whole(1, "is empty; `seikan lab example` prints a topology to start from")
	}
	if err == nil {
		if err := dec.Decode(&more); err == nil {
			return nil, whole(more.Line, "a second document begins here; keep one topology in a file")
		} else if !errors.Is(err, io.EOF) {
			return nil, syntax(whole, err)
		}
	} else {
		return nil, syntax(whole, err)
	}
	return doc.Content[0], nil
}

// syntax turns the YAML library's error into ours.
func syntax(whole func(int, string) *Problem, err error) *Problem {
	text, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = strings.Replace(text, m[0], "", 1)
	}
	return whole(line, "is not YAML: "+text)
}

// refuseAliases keeps a small file from growing into a large one.
func (d *decoder) refuseAliases(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		d.errorf(n, "", "alias *%s: anchors and aliases are not supported; write the value out", n.Value)
		return
	case n.Anchor != "":
		d.errorf(n, "", "anchor &%s: anchors and aliases are not supported; write the value out", n.Anchor)
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Kind != yaml.ScalarNode {
			d.errorf(c, "", "%s stands where the name of a field is expected", describe(c))
			continue
		}
		d.refuseAliases(c)
	}
}
