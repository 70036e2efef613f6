package tree

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"freshet/watcher"
)

// ProbeWatching watches root and every folder below it for a moment, and says how many of them the system lets this user watch.
func ProbeWatching(ctx context.Context, root string) (Finding, error) {
	name, err := filepath.Abs(root)
	if err != nil {
		return Finding{}, fmt.Errorf("probe %s: %w", root, err)
	}
	w, err := watcher.New(watcher.Options{
		Root: name, Log: slog.New(slog.DiscardHandler),
		Skip: func(rel string) bool { return isReserved(filepath.Base(rel)) },
	})
	if errors.Is(err, watcher.ErrTooManyWatchers) {
		return Finding{"watching", false, "each request looks at the disk itself: " + err.Error()}, nil
	}
	if err != nil {
		return Finding{}, fmt.Errorf("probe: %w", err)
	}
	watching, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(watching) }()
	select {
	case <-w.Ready():
	case <-ctx.Done():
		err = ctx.Err()
	case err = <-ended:
		ended <- err
	}
	s := w.Stats()
	cancel()
	<-ended
	if err != nil {
		return Finding{}, fmt.Errorf("probe: %w", err)
	}
	if s.Unwatched == 0 {
		return Finding{"watching", true, fmt.Sprintf("all %d folders can be watched for local changes", s.Folders)}, nil
	}
	return Finding{"watching", false, fmt.Sprintf("%d of %d folders cannot be watched, and each request looks at them itself; "+
		"watch all with: %s", s.Unwatched, s.Folders+s.Unwatched, s.Remedy())}, nil
}
