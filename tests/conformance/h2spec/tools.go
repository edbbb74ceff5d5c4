//go:build tools

// Package tools names the program, so that its sources are pinned like those of a library.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
