package tree

import (
	"fmt"
	"strings"
)

// checkNameOS refuses what Windows would read as another name: streams, short names, trailing dots and blanks.
func checkNameOS(name string) error {
	if strings.ContainsAny(name, ":~") || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
		return fmt.Errorf("%w: %q is another name on this system", ErrName, name)
	}
	return nil
}
