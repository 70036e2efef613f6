//go:build !unix

package fileserver_test

import "testing"

func makePipe(t *testing.T, _ *world, _ string) { t.Skip("this system has no named pipes") }
