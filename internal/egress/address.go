package egress

import "net/netip"

// Class says what kind of place an address is.
type Class string

// The classes of address.
const (
	Public   Class = "public"   // routed on the internet
	Private  Class = "private"  // RFC 1918, RFC 6598 (carriers, overlays), RFC 4193
	Loopback Class = "loopback" // this machine
	// Forbidden is never connected to: addresses of cloud metadata services,
	// link-local, multicast, reserved and documentation addresses, and IPv6
	// forms that hide an IPv4 address from whoever reads them.
	Forbidden Class = "forbidden"
)

// Classify says what kind of place addr is. Anything that is not known to be
// harmless is [Forbidden], the invalid address included.
func Classify(addr netip.Addr) Class {
	// A prefix never contains an address with a zone, nor an IPv4 one written
	// as IPv6: both must go before the lists are asked.
	addr = addr.WithZone("").Unmap()
	switch {
	case !addr.IsValid():
		return Forbidden
	case addr.Is4():
		return lookup(list4, addr, Public)
	}
	if nat64.Contains(addr) {
		// RFC 6052 §2.1: behind a NAT64 every IPv4 address looks like this, so
		// the judgement is that of the address inside. Only public ones: the
		// well-known prefix must not carry others (§3.1).
		b := addr.As16()
		if Classify(netip.AddrFrom4([4]byte(b[12:]))) == Public {
			return Public
		}
		return Forbidden
	}
	if isatap(addr) {
		return Forbidden
	}
	return lookup(list6, addr, Forbidden)
}

var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// isatap finds the interface identifiers of RFC 5214 §6.1, which end in an IPv4
// address to tunnel to, under any prefix.
func isatap(addr netip.Addr) bool {
	b := addr.As16()
	return b[8]&^0x03 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

type entry struct {
	prefix netip.Prefix
	class  Class
}

// lookup returns the class of the first entry that holds addr: the lists go from
// the exception to the rule.
func lookup(list []entry, addr netip.Addr, otherwise Class) Class {
	for _, e := range list {
		if e.prefix.Contains(addr) {
			return e.class
		}
	}
	return otherwise
}

func entries(class Class, prefixes ...string) []entry {
	var list []entry
	for _, p := range prefixes {
		list = append(list, entry{netip.MustParsePrefix(p), class})
	}
	return list
}

func join(lists ...[]entry) []entry {
	var all []entry
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// list4 is the IANA IPv4 special-purpose registry, and the metadata services
// that live outside of link-local. What is in no entry is public.
var list4 = join(
	entries(Forbidden,
		"100.100.100.200/32",                                // Alibaba Cloud's metadata, within RFC 6598
		"168.63.129.16/32",                                  // Azure's wire server, within a public range
		"192.0.0.0/24",                                      // RFC 6890; 192.0.0.192 is Oracle's metadata
		"0.0.0.0/8",                                         // RFC 1122 §3.2.1.3; Linux connects to itself
		"169.254.0.0/16",                                    // RFC 3927; AWS, Google, Azure and others' metadata
		"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", // RFC 5737
		"192.88.99.0/24", // RFC 7526, once 6to4
		"198.18.0.0/15",  // RFC 2544
		"224.0.0.0/4",    // RFC 5771
		"240.0.0.0/4",    // RFC 1112 §4, with broadcast
	),
	entries(Loopback, "127.0.0.0/8"),
	entries(Private, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
)

// list6 starts from the rule that only 2000::/3 is public (RFC 4291 §2.4), so
// that all the forms that hide an IPv4 address under ::/8, and site-local,
// link-local and multicast addresses, fall through to Forbidden.
var list6 = join(
	entries(Forbidden,
		"fd00:ec2::/32",          // AWS: fd00:ec2::254, and EKS's ::23
		"fd20:ce::254/128",       // Google
		"fd00:42::42/128",        // Scaleway
		"fd00:c1::a9fe:a9fe/128", // Oracle
		"2001::/23",              // RFC 2928: protocols, Teredo among them
		"2001:db8::/32",          // RFC 3849
		"2002::/16",              // RFC 3056, 6to4
		"3fff::/20",              // RFC 9637
	),
	entries(Loopback, "::1/128"),
	entries(Private, "fc00::/7"),
	entries(Public, "2000::/3"),
)
