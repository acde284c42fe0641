package policy

import (
	"math/bits"

	"nightporter.dev/nightporter"
)

// capabilities is a set of Vault's capabilities, one bit each.
type capabilities uint16

const (
	canCreate capabilities = 1 << iota
	canDelete
	denied
	canList
	canPatch
	canRead
	canSudo
	canUpdate
)

// capabilityNames stands in the order of the bits, which is the alphabet's:
// sys/capabilities answers sorted.
var capabilityNames = [...]nightporter.Capability{
	nightporter.Create, nightporter.Delete, nightporter.Deny, nightporter.List,
	nightporter.Patch, nightporter.Read, nightporter.Sudo, nightporter.Update,
}

// capabilityOf returns the bit of a capability, or 0 for a name that is none.
func capabilityOf(name nightporter.Capability) capabilities {
	for i, n := range capabilityNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

// names lists the set in alphabetical order.
func (c capabilities) names() []string {
	names := make([]string, 0, bits.OnesCount16(uint16(c)))
	for i, n := range capabilityNames {
		if c&(1<<i) != 0 {
			names = append(names, string(n))
		}
	}
	return names
}

// legacyCapabilities translates Vault's old `policy = "write"`.
func legacyCapabilities(name string) (capabilities, bool) {
	const (
		read  = canRead | canList
		write = read | canCreate | canUpdate | canDelete
	)
	switch name {
	case "deny":
		return denied, true
	case "read":
		return read, true
	case "write":
		return write, true
	case "sudo":
		return write | canSudo, true
	}
	return 0, false
}
