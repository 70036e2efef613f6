package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"time"
)

// startTimeMax and stopTimeMax are far beyond what a loaded machine needs.
const startTimeMax, stopTimeMax = 30 * time.Second, 30 * time.Second

// A server is the program, run with its serve command in the background.
type server struct {
	url     string       // as its log says
	log     lockedBuffer // its standard error
	access  lockedBuffer // its standard output
	process *exec.Cmd
	exited  chan struct{}
	err     error // of Wait; read after exited is closed
}

var urlInLog = regexp.MustCompile(`http://[^\s"]+/`)

// startServer starts the program in dir and waits until it says where it listens.
func startServer(dir string, env []string, args ...string) (*server, error) {
	program, err := exec.LookPath("freshet")
	if err != nil {
		return nil, err
	}
	s := &server{process: exec.Command(program, append([]string{"serve"}, args...)...), exited: make(chan struct{})}
	s.process.Dir, s.process.Env, s.process.Stdout, s.process.Stderr = dir, env, &s.access, &s.log
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	go func() { s.err = s.process.Wait(); close(s.exited) }()
	s.log.wait(startTimeMax, s.exited, func(text string) bool {
		s.url = urlInLog.FindString(text)
		return s.url != ""
	})
	if s.url == "" {
		s.kill()
		return nil, fmt.Errorf("the server did not start: %w\n%s", s.err, s.log.String())
	}
	return s, nil
}

func (s *server) kill() {
	_ = s.process.Process.Kill()
	<-s.exited
}

// stop sends a signal and waits for the server to end by itself. Its exit code must be 0.
func (s *server) stop(signal os.Signal) error {
	if err := s.process.Process.Signal(signal); err != nil {
		return err
	}
	select {
	case <-s.exited:
		return s.err
	case <-time.After(stopTimeMax):
		s.kill()
		return errors.New("the server did not stop")
	}
}

// A lockedBuffer can be read while it is written to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// wait looks at the text until ok says so, the time is over, or ended is closed.
func (l *lockedBuffer) wait(most time.Duration, ended <-chan struct{}, ok func(string) bool) {
	late := time.After(most)
	for !ok(l.String()) {
		select {
		case <-late:
			return
		case <-ended:
			ok(l.String())
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}
