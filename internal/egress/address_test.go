package egress_test

import (
	"fmt"
	"net/netip"
	"testing"

	"nightporter.dev/nightporter/internal/egress"
)

// The forms of R18: ways to write, embed or sneak in an address that leads
// inside. wants are what a reader of the RFCs would say; none comes from the
// implementation.
var forms = []struct {
	addr string
	want egress.Class
	why  string
}{
	// IPv4, plain.
	{"8.8.8.8", egress.Public, "a public resolver"},
	{"140.82.121.4", egress.Public, "a public forge"},
	{"0.0.0.0", egress.Forbidden, "Linux connects to itself"},
	{"0.1.2.3", egress.Forbidden, "this network"},
	{"10.0.0.1", egress.Private, "RFC 1918"},
	{"10.255.255.255", egress.Private, "RFC 1918, last"},
	{"11.0.0.0", egress.Public, "just after 10/8"},
	{"100.63.255.255", egress.Public, "just before 100.64/10"},
	{"100.64.0.1", egress.Private, "shared address space"},
	{"100.100.100.200", egress.Forbidden, "Alibaba's metadata"},
	{"100.127.255.255", egress.Private, "shared address space, last"},
	{"127.0.0.1", egress.Loopback, "loopback"},
	{"127.1.2.3", egress.Loopback, "all of 127/8"},
	{"127.255.255.254", egress.Loopback, "all of 127/8"},
	{"168.63.129.16", egress.Forbidden, "Azure's wire server"},
	{"169.254.0.1", egress.Forbidden, "link-local"},
	{"169.254.169.254", egress.Forbidden, "metadata"},
	{"169.254.170.2", egress.Forbidden, "ECS credentials"},
	{"169.254.170.23", egress.Forbidden, "EKS pod identity"},
	{"169.254.42.42", egress.Forbidden, "Scaleway's metadata"},
	{"172.15.255.255", egress.Public, "just before 172.16/12"},
	{"172.16.0.1", egress.Private, "RFC 1918"},
	{"172.31.255.255", egress.Private, "RFC 1918, last"},
	{"172.32.0.0", egress.Public, "just after"},
	{"192.0.0.1", egress.Forbidden, "IETF protocol assignments"},
	{"192.0.0.192", egress.Forbidden, "Oracle's metadata"},
	{"192.0.2.1", egress.Forbidden, "documentation"},
	{"192.88.99.1", egress.Forbidden, "6to4 relay"},
	{"192.168.0.1", egress.Private, "RFC 1918"},
	{"198.18.0.1", egress.Forbidden, "benchmarks"},
	{"198.19.255.255", egress.Forbidden, "benchmarks, last"},
	{"198.51.100.1", egress.Forbidden, "documentation"},
	{"203.0.113.1", egress.Forbidden, "documentation"},
	{"224.0.0.1", egress.Forbidden, "multicast"},
	{"239.255.255.255", egress.Forbidden, "multicast, last"},
	{"240.0.0.1", egress.Forbidden, "reserved"},
	{"255.255.255.255", egress.Forbidden, "broadcast"},
	// IPv6, plain.
	{"2606:4700:4700::1111", egress.Public, "a public resolver"},
	{"::", egress.Forbidden, "unspecified, connects to itself"},
	{"::1", egress.Loopback, "loopback"},
	{"::1%lo", egress.Loopback, "loopback with a zone"},
	{"fe80::1", egress.Forbidden, "link-local"},
	{"fe80::a9fe:a9fe%eth0", egress.Forbidden, "OpenStack's metadata, with a zone"},
	{"fec0::1", egress.Forbidden, "site-local"},
	{"fc00::1", egress.Private, "unique local"},
	{"fd12:3456::1", egress.Private, "unique local"},
	{"fd00:ec2::254", egress.Forbidden, "AWS's metadata"},
	{"fd00:ec2::23", egress.Forbidden, "EKS pod identity"},
	{"fd20:ce::254", egress.Forbidden, "Google's metadata"},
	{"fd00:42::42", egress.Forbidden, "Scaleway's metadata"},
	{"fd00:c1::a9fe:a9fe", egress.Forbidden, "Oracle's metadata"},
	{"ff02::1", egress.Forbidden, "multicast"},
	{"100::1", egress.Forbidden, "discard"},
	{"2001:db8::1", egress.Forbidden, "documentation"},
	{"3fff::1", egress.Forbidden, "documentation"},
	{"5f00::1", egress.Forbidden, "segment routing"},
	// IPv4 inside of IPv6.
	{"::ffff:8.8.8.8", egress.Public, "mapped public"},
	{"::ffff:10.0.0.1", egress.Private, "mapped private"},
	{"::ffff:127.0.0.1", egress.Loopback, "mapped loopback"},
	{"::ffff:169.254.169.254", egress.Forbidden, "mapped metadata"},
	{"::ffff:a9fe:a9fe", egress.Forbidden, "mapped metadata in hexadecimal"},
	{"::ffff:169.254.169.254%1", egress.Forbidden, "mapped metadata with a zone"},
	{"::127.0.0.1", egress.Forbidden, "IPv4-compatible"},
	{"::169.254.169.254", egress.Forbidden, "IPv4-compatible metadata"},
	{"::ffff:0:169.254.169.254", egress.Forbidden, "IPv4-translated"},
	{"64:ff9b::8.8.8.8", egress.Public, "NAT64 of a public address"},
	{"64:ff9b::a9fe:a9fe", egress.Forbidden, "NAT64 of metadata"},
	{"64:ff9b::10.0.0.1", egress.Forbidden, "NAT64 of a private address"},
	{"64:ff9b::127.0.0.1", egress.Forbidden, "NAT64 of loopback"},
	{"64:ff9b:1::a9fe:a9fe", egress.Forbidden, "local-use NAT64"},
	{"64:ff9b:1:a9fe:a9:fe00::", egress.Forbidden, "local-use NAT64, /48 embedding"},
	{"2002:a9fe:a9fe::1", egress.Forbidden, "6to4 of metadata"},
	{"2002:7f00:1::", egress.Forbidden, "6to4 of loopback"},
	{"2001:0:a9fe:a9fe::1", egress.Forbidden, "Teredo"},
	{"2606:4700::5efe:169.254.169.254", egress.Forbidden, "ISATAP"},
	{"2606:4700::200:5efe:10.0.0.1", egress.Forbidden, "ISATAP, universal bit"},
}

func TestClassify(t *testing.T) {
	t.Parallel()
	if len(forms) < 64 {
		t.Fatalf("R18 asks for 64 forms, the table has %d", len(forms))
	}
	for _, f := range forms {
		if got := egress.Classify(netip.MustParseAddr(f.addr)); got != f.want {
			t.Errorf("%s (%s) is %s, want %s", f.addr, f.why, got, f.want)
		}
	}
	if got := egress.Classify(netip.Addr{}); got != egress.Forbidden {
		t.Errorf("the invalid address is %s", got)
	}
}

// Package netip's predicates are an independent reading of the registries: what
// they call inside must never be public here. The other way round they miss
// most, which is why there is a list.
func FuzzClassify(f *testing.F) {
	for _, form := range forms {
		f.Add(netip.MustParseAddr(form.addr).AsSlice())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		got := egress.Classify(addr)
		u := addr.Unmap()
		inside := u.IsPrivate() || u.IsLoopback() || u.IsLinkLocalUnicast() || u.IsMulticast() || u.IsUnspecified() || u.IsInterfaceLocalMulticast()
		if inside && got == egress.Public {
			t.Errorf("%s is public, and netip says inside", addr)
		}
		if again := egress.Classify(u.WithZone("")); again != got {
			t.Errorf("%s is %s, unmapped %s", addr, got, again)
		}
	})
}

func ExampleClassify() {
	for _, a := range []string{"140.82.121.4", "10.0.0.1", "64:ff9b::a9fe:a9fe"} {
		fmt.Println(a, egress.Classify(netip.MustParseAddr(a)))
	}
	// Output:
	// 140.82.121.4 public
	// 10.0.0.1 private
	// 64:ff9b::a9fe:a9fe forbidden
}
