package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"
)

// merged reads configuration files and merges them in the order of the keys in the files, as the collector merges several --config: maps by
// key, everything else is replaced.
func merged(paths ...string) (*yaml.Node, error) {
	out := &yaml.Node{Kind: yaml.MappingNode}
	for _, path := range paths {
		docs, err := documents(path)
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			merge(out, doc)
		}
	}
	return out, nil
}

// documents reads a file of YAML documents, as trees without aliases and comments.
func documents(path string) ([]*yaml.Node, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	var docs []*yaml.Node
	for {
		var doc yaml.Node
		switch err := decoder.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if doc.Content[0].Kind == yaml.MappingNode {
			docs = append(docs, plain(doc.Content[0]))
		}
	}
}

// plain copies a tree, with copies of what its aliases point to and without comments.
func plain(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return plain(n.Alias)
	}
	c := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value}
	for _, child := range n.Content {
		c.Content = append(c.Content, plain(child))
	}
	return c
}

func merge(into, from *yaml.Node) {
	for key, value := range pairs(from) {
		have := get(into, key.Value)
		if have != nil && have.Kind == yaml.MappingNode && value.Kind == yaml.MappingNode {
			merge(have, value)
			continue
		}
		set(into, key.Value, value)
	}
}

// pairs iterates over the keys and values of a mapping.
func pairs(n *yaml.Node) func(func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// get walks nested mappings; nil when a step is missing.
func get(n *yaml.Node, path ...string) *yaml.Node {
	for _, step := range path {
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		var next *yaml.Node
		for key, value := range pairs(n) {
			if key.Value == step {
				next = value
			}
		}
		n = next
	}
	return n
}

// set replaces the value of a key, or adds the key at the end. Without a value it does nothing.
func set(n *yaml.Node, key string, value *yaml.Node) {
	if value == nil {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content[i+1] = value
			return
		}
	}
	n.Content = append(n.Content, text(key), value)
}

// drop removes a key.
func drop(n *yaml.Node, key string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

// rename gives a key another name and keeps its place.
func rename(n *yaml.Node, from, to string) {
	for key := range pairs(n) {
		if key.Value == from {
			key.Value = to
		}
	}
}

// node is a value as a tree.
func node(v any) *yaml.Node {
	var n yaml.Node
	if err := n.Encode(v); err != nil {
		panic(err) // only for values that are written in this program
	}
	return &n
}

func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// mapping makes a mapping of keys and values in turns.
func mapping(keysAndValues ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i < len(keysAndValues); i += 2 {
		var value *yaml.Node
		switch v := keysAndValues[i+1].(type) {
		case *yaml.Node:
			value = v
		default:
			value = node(v)
		}
		set(n, keysAndValues[i].(string), value)
	}
	return n
}
