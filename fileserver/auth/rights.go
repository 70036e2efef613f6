package auth

import (
	"fmt"
	"strings"
)

// Rights are what somebody may do at a path.
type Rights uint8

// Each right by itself.
const (
	List    Rights = 1 << iota // see what is in a folder, as far as it may be read
	Read                       // get a file, its tag, its size, and that it is there at all
	Create                     // make a file or folder where nothing is
	Replace                    // put other bytes in the place of a file
	Delete                     // take something away
)

// Sets of rights.
const (
	None    Rights = 0
	Reading        = List | Read
	Writing        = Create | Replace | Delete
	All            = Reading | Writing
)

var rightNames = [...]string{"list", "read", "create", "replace", "delete"}

// ParseRight reads the name of one right.
func ParseRight(name string) (Rights, error) {
	for i, known := range rightNames {
		if name == known {
			return 1 << i, nil
		}
	}
	return None, fmt.Errorf("%.40q is not a right: there are %s", name, strings.Join(rightNames[:], ", "))
}

// Has reports whether all of want are in r.
func (r Rights) Has(want Rights) bool { return r&want == want }

// HasAny reports whether one of want is in r.
func (r Rights) HasAny(want Rights) bool { return r&want != 0 }

// String returns the names of r, separated by commas.
func (r Rights) String() string {
	var names []string
	for i, name := range rightNames {
		if r.Has(1 << i) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}
