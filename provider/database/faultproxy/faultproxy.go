// Package faultproxy stands between a client and a server and loses what they
// say: it refuses, hangs, resets in the middle of a message, loses an answer, or
// delivers a message long after its sender gave up. It is for tests.
//
// A fault strikes at the n-th message from the client, counted over all
// connections since [Proxy.Inject]. A test repeats what it does with n = 1, 2, 3
// and so on until [Proxy.Struck] says that there was no such message: then every
// message of it has been lost once in every way.
package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Fault is a way of losing messages.
type Fault string

// The faults.
const (
	// None passes everything on.
	None Fault = "none"
	// Refuse resets the connection and every new one, until [Proxy.Heal].
	Refuse Fault = "refuse"
	// Hang passes nothing on any more, on any connection, until [Proxy.Heal].
	Hang Fault = "hang"
	// Reset delivers half of the message and resets the connection.
	Reset Fault = "reset mid-statement"
	// LoseAnswer delivers the message, waits for the server's answer, and resets the
	// connection instead of passing it on.
	LoseAnswer Fault = "accept, then lose the answer"
	// Late holds the message. [Proxy.Heal] delivers it, although its sender has gone.
	Late Fault = "deliver late"
)

// Faults is every fault that strikes.
func Faults() []Fault { return []Fault{Refuse, Hang, Reset, LoseAnswer, Late} }

// Proxy is a TCP proxy on loopback.
type Proxy struct {
	upstream string
	listener net.Listener
	working  sync.WaitGroup

	mu     sync.Mutex
	fault  Fault
	left   int           // messages until the fault strikes; 0 when it has
	struck chan struct{} // closed when it strikes
	healed chan struct{} // closed by Heal
	links  map[*link]bool
	late   sync.WaitGroup // messages that are held
	closed bool
}

// link is one connection and its other half.
type link struct {
	client, server net.Conn
	// holds is set while a message waits for Heal: the client must not notice what
	// the server does. Guarded by the proxy's lock.
	holds bool
	// spoke is signalled when the server answers or closes.
	spoke chan struct{}
}

// New starts a proxy in front of a server. The caller closes it.
func New(upstream string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting a fault proxy: %w", err)
	}
	p := &Proxy{upstream: upstream, listener: l, fault: None, struck: make(chan struct{}), healed: make(chan struct{}), links: map[*link]bool{}}
	p.working.Go(p.accept)
	return p, nil
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Dial connects through the proxy, whatever address it is asked for.
func (p *Proxy) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", p.Addr())
}

// Inject lets a fault strike at the nth message from a client from now on. Nth
// counts from 1.
func (p *Proxy) Inject(f Fault, nth int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.left = f, nth
	p.struck, p.healed = make(chan struct{}), make(chan struct{})
}

// Strike is closed when the fault of the last Inject strikes.
func (p *Proxy) Strike() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.struck
}

// Struck tells whether the fault has struck.
func (p *Proxy) Struck() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hasStruck()
}

// hasStruck is called with the lock held.
func (p *Proxy) hasStruck() bool {
	select {
	case <-p.struck:
		return true
	default:
		return false
	}
}

// Heal ends the fault. It delivers what was held and waits until the server has
// dealt with it: answered, or closed the connection.
func (p *Proxy) Heal() {
	p.mu.Lock()
	p.fault, p.left = None, 0
	select {
	case <-p.healed:
	default:
		close(p.healed)
	}
	p.mu.Unlock()
	p.late.Wait()
}

// Close ends every connection and waits for the proxy's goroutines.
func (p *Proxy) Close() error {
	p.Heal()
	p.mu.Lock()
	p.closed = true
	for l := range p.links {
		abort(l)
	}
	p.mu.Unlock()
	err := p.listener.Close()
	p.working.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.refuses() {
			reset(client)
			continue
		}
		server, err := net.DialTimeout("tcp", p.upstream, 5*time.Second)
		if err != nil {
			reset(client)
			continue
		}
		l := &link{client: client, server: server, spoke: make(chan struct{}, 1)}
		p.mu.Lock()
		p.links[l] = true
		if p.closed {
			abort(l)
		}
		p.mu.Unlock()
		lose := make(chan struct{}, 1)
		p.working.Go(func() { p.requests(l, lose) })
		p.working.Go(func() { p.answers(l, lose) })
	}
}

func (p *Proxy) refuses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault == Refuse && p.hasStruck()
}

// strike counts one message and says what happens to it.
func (p *Proxy) strike(l *link) (Fault, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left > 0 {
		if p.left--; p.left > 0 {
			return None, p.healed
		}
		close(p.struck)
		if p.fault == Late {
			l.holds = true
			p.late.Add(1)
		}
		return p.fault, p.healed
	}
	if p.hasStruck() && (p.fault == Refuse || p.fault == Hang) {
		return p.fault, p.healed // these two last
	}
	return None, p.healed
}

// requests passes on what the client says. It tells the other direction through
// lose that the next answer ends the connection.
func (p *Proxy) requests(l *link, lose chan<- struct{}) {
	defer p.drop(l)
	buffer := make([]byte, 64<<10)
	for {
		n, err := l.client.Read(buffer)
		if err != nil {
			return
		}
		fault, healed := p.strike(l)
		switch fault {
		case Refuse:
			return
		case Hang:
			<-healed
			return
		case Reset:
			_, _ = l.server.Write(buffer[:n/2])
			return
		case Late:
			<-healed
			p.deliver(l, buffer[:n])
			return
		case LoseAnswer:
			lose <- struct{}{}
			if _, err := l.server.Write(buffer[:n]); err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, l.client) // ends when answers drops the link
			return
		}
		if _, err := l.server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// deliver says a held message at last, and waits for what the server makes of it.
func (p *Proxy) deliver(l *link, message []byte) {
	defer p.late.Done()
	if _, err := l.server.Write(message); err == nil {
		select {
		case <-l.spoke:
		case <-time.After(5 * time.Second): // a server that does not answer at all
		}
	}
	p.mu.Lock()
	l.holds = false
	p.mu.Unlock()
}

// answers passes on what the server says.
func (p *Proxy) answers(l *link, lose <-chan struct{}) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := l.server.Read(buffer)
		if p.silent(l) {
			select {
			case l.spoke <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
			continue
		}
		if err != nil {
			p.drop(l)
			return
		}
		select {
		case <-lose:
			p.drop(l)
			return
		default:
		}
		if _, err := l.client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// silent tells whether the client hears nothing at the moment.
func (p *Proxy) silent(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault == Hang && p.hasStruck() || l.holds
}

func (p *Proxy) drop(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
	abort(l)
}

func abort(l *link) {
	reset(l.client)
	reset(l.server)
}

// reset closes a connection so that the other side sees a reset, as of a machine
// that has lost it.
func reset(c net.Conn) {
	if tcp, is := c.(*net.TCPConn); is {
		_ = tcp.SetLinger(0)
	}
	if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return
	}
}
