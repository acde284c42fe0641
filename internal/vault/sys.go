package vault

import "slices"

// sysBackend is sys/, assembled from its parts.
func (v *Vault) sysBackend() Backend {
	return NewPaths("system", slices.Concat(
		v.statusPaths(), v.mountPaths(), v.policyPaths(), v.capabilityPaths(), v.leasePaths(), v.wrappingPaths(),
		v.passwordPolicyPaths(), v.otherPaths(),
	)...)
}
