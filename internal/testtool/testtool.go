// Package testtool finds the independent programs that tests check our output
// with. A test that lacks its tool proves nothing, so under CI=true that is a
// failure; elsewhere the test says what to install and is skipped.
package testtool

import (
	"os"
	"os/exec"
	"testing"
)

// Need returns the path of the program name, which the Debian package pkg holds.
func Need(t testing.TB, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: the Makefile must install the Debian package %s", name, pkg)
	}
	t.Skipf("%s is missing; install it with: apt-get install %s", name, pkg)
	return ""
}
