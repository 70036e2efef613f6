package main

import (
	"os"
	"os/exec"
	"testing"
)

// TestOtherSystems builds for the systems that no test runs on here. Without a warm build cache that takes long, so it is
// left to CI.
func TestOtherSystems(t *testing.T) {
	if os.Getenv("CI") != "true" {
		t.Skip("takes minutes with a cold build cache: set CI=true")
	}
	for system, command := range map[string]string{"darwin": "build", "windows": "vet"} {
		t.Run(system, func(t *testing.T) {
			build := exec.Command("go", command, "./...")
			build.Dir = moduleDir
			build.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("go %s: %v\n%s", command, err, out)
			}
		})
	}
}
