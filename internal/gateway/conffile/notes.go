package conffile

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Note is a comment on what a program worked out. Key is where it stands, such
// as tunnels.0.phase1, or empty for the top of the file; lines are those of
// Text.
type Note struct {
	Key, Text string
}

// Annotate is Format with notes above the keys that they are about. A key that
// is not in the file is an error.
func Annotate(f File, notes []Note) ([]byte, error) {
	plain, err := Format(f)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(plain, &doc); err != nil {
		return nil, fmt.Errorf("formatting the configuration: %w", err)
	}
	doc.HeadComment = strings.TrimRight(header, "\n")
	for _, n := range notes {
		at := &doc
		if n.Key != "" {
			if at = find(doc.Content[0], strings.Split(n.Key, ".")); at == nil {
				return nil, fmt.Errorf("formatting the configuration: there is no %s to comment on", n.Key)
			}
		}
		for line := range strings.SplitSeq(n.Text, "\n") {
			at.HeadComment = strings.TrimLeft(at.HeadComment+"\n# "+line, "\n")
		}
	}
	if len(doc.Content) > 0 && len(doc.Content[0].Content) > 0 {
		doc.Content[0].Content[0].HeadComment = "" // the header is the document's
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("formatting the configuration: %w", err)
	}
	return b.Bytes(), enc.Close()
}

// find is the node of a key, below n, to put a comment on.
func find(n *yaml.Node, path []string) *yaml.Node {
	for i, name := range path {
		var key, value *yaml.Node
		switch n.Kind {
		case yaml.SequenceNode:
			if k, err := strconv.Atoi(name); err == nil && k >= 0 && k < len(n.Content) {
				key, value = n.Content[k], n.Content[k]
			}
		case yaml.MappingNode:
			for k := 0; k+1 < len(n.Content); k += 2 {
				if n.Content[k].Value == name {
					key, value = n.Content[k], n.Content[k+1]
				}
			}
		}
		if value == nil {
			return nil
		}
		if i == len(path)-1 {
			return key
		}
		n = value
	}
	return nil
}

// ownKeys are what our file has at its top, in YAML or in JSON, and AWS's have
// not.
var ownKeys = regexp.MustCompile(`"(tunnels|control_socket|state_directory|metrics|no_forwarding)"\s*:`)

// Claims reports whether JSON is a file of ours, since all JSON is YAML.
func Claims(json []byte) bool { return ownKeys.Match(json) }
