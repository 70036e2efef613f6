package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"freshet/hashing"
)

const (
	hashBufferBytes = 8 * hashing.BlockBytes
	stdinPath       = "-"
)

func newHash() *cobra.Command {
	by := new(algorithm)
	cmd := &cobra.Command{
		Use:   "hash [PATH…]",
		Short: "Print the tags of files",
		Long: "The tag of a file is the XXH3-128 of its bytes, or the first half of their BLAKE3 where a folder is served\n" +
			"with hash = \"blake3\". The lines are those of `xxhsum -H128` or `b3sum --length 16`, names as they are\n" +
			"included; without a PATH, or where it is -, standard input is read. The exit code is 1 if a file could not\n" +
			"be read.",
		Example: examples(
			"freshet hash report.pdf", "the tag that it is served under",
			"freshet hash *.jpg > tags", "xxhsum -c tags checks them later",
			"curl -s http://localhost:8080/a | freshet hash", "what was received"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && isTerminal(cmd.InOrStdin()) {
				return misuse("hash takes at least one PATH", "standard input is a terminal", "freshet hash FILE, or - to type")
			}
			if len(args) == 0 {
				args = []string{stdinPath}
			}
			h := hashing.Algorithm(*by)
			return hashAll(cmd.Context(), h, args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().Var(by, "algorithm", "what the folder's tags are made by: `ALGORITHM` is xxh3 or blake3")
	return cmd
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

type hashed struct {
	digest hashing.Digest
	err    error
}

// hashAll prints a line for each of paths, in their order, while as many are being read as there are processors. When ctx
// ends it returns without waiting for reads, which may hang on a pipe for ever.
func hashAll(
	ctx context.Context, by hashing.Algorithm, paths []string, stdin io.Reader, stdout, stderr io.Writer,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make([]chan hashed, len(paths))
	for i := range results {
		results[i] = make(chan hashed, 1)
	}
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(paths)) {
		go func() {
			buffer := make([]byte, hashBufferBytes)
			for i := next.Add(1) - 1; i < int64(len(paths)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				digest, err := hashPath(ctx, by.NewHasher(), paths[i], stdin, buffer)
				results[i] <- hashed{digest, err}
			}
		}()
	}
	var failed error
	for i, path := range paths {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case h := <-results[i]:
			if h.err != nil {
				fmt.Fprintf(stderr, "freshet: cannot hash %s: %s\n", shown(path), reason(h.err))
				failed = errPartly
			} else if err := printHash(stdout, by, h.digest, path); err != nil {
				return err
			}
		}
	}
	return failed
}

// printHash prints one line as xxhsum or b3sum does. Only xxhsum calls standard input "stdin".
func printHash(w io.Writer, by hashing.Algorithm, digest hashing.Digest, path string) error {
	if path == stdinPath && by == hashing.XXH3 {
		path = "stdin"
	}
	_, err := fmt.Fprintf(w, "%s  %s\n", digest, path)
	return err
}

// hashPath returns the digest of a file's bytes as one reading found them. h, of nothing yet, and buffer are for its use.
func hashPath(
	ctx context.Context, h *hashing.Hasher, path string, stdin io.Reader, buffer []byte,
) (hashing.Digest, error) {
	r := stdin
	if path != stdinPath {
		f, err := os.Open(path)
		if err != nil {
			return hashing.Digest{}, err
		}
		defer f.Close()
		r = f
	}
	for ctx.Err() == nil {
		n, err := io.ReadFull(r, buffer)
		_, _ = h.Write(buffer[:n]) // never fails
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return h.Digest(), nil
		}
		if err != nil {
			return hashing.Digest{}, err
		}
	}
	return hashing.Digest{}, ctx.Err()
}
