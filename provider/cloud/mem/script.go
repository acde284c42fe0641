package mem

import (
	"slices"
	"time"

	"nightporter.dev/nightporter/provider/cloud"
)

// Behaviour is how something goes. The zero Behaviour is well and at once.
type Behaviour struct {
	// Looks is how many times Observe answers running first.
	Looks int
	// Takes is how long it is running: a slow create.
	Takes time.Duration
	// Fails, when not empty, is the message with which it fails.
	Fails string
	// Retryable is set on that failure.
	Retryable bool
	// HalfDone leaves what a failing Up made.
	HalfDone bool
	// NeverReady makes a component that exists and never answers.
	NeverReady bool
	// ReadyLooks is how many times Probe is told to wait.
	ReadyLooks int
	// Lines are its output.
	Lines []string
}

// Rule says what goes how. Empty fields match everything; the rule that was added
// last wins.
type Rule struct {
	Environment string
	Component   string
	Verb        string // "Up", "Down", "Capture", "Restore"
	Commit      string
	// Times is how many keys the rule applies to. 0 means all.
	Times int
	Behaviour
}

// Rule adds a rule for what begins from now on.
func (p *Provider) Rule(r Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Times == 0 {
		r.Times = -1
	}
	p.rules = append(p.rules, &r)
}

func (p *Provider) match(verb string, q cloud.Request) Behaviour {
	for _, r := range slices.Backward(p.rules) {
		if r.Times == 0 || r.Environment != "" && r.Environment != q.Environment || r.Component != "" && r.Component != q.Component ||
			r.Verb != "" && r.Verb != verb || r.Commit != "" && r.Commit != q.Code.Commit {
			continue
		}
		if r.Times > 0 {
			r.Times--
		}
		return r.Behaviour
	}
	return Behaviour{}
}

// Define says what the code of a commit builds in an environment. The commit ""
// stands for every one that nothing was said about.
func (p *Provider) Define(environment, commit string, components ...Definition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.defined[codeKey{environment, commit}] = components
}

// SetAccounts says which accounts every plan touches. None at first.
func (p *Provider) SetAccounts(accounts ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accounts = accounts
}

// Fault makes the next times calls of a verb answer with err and do nothing. A
// negative times means until it is set again; 0 ends it.
func (p *Provider) Fault(verb string, times int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[verb] = &fault{left: times, err: err}
}

// Plant puts something there that nobody here made: an orphan, a stranger's.
func (p *Provider) Plant(r cloud.Resource) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.planted[r.ID] = r
}

// Remove takes a component away by hand.
func (p *Provider) Remove(environment, component string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.things, place{environment, component})
}

// SetData writes a component's state, and Data reads it; false when the
// component does not exist.
func (p *Provider) SetData(environment, component, data string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.things[place{environment, component}]
	if t != nil {
		t.data = data
	}
	return t != nil
}

// Data is what a component holds; false when it does not exist.
func (p *Provider) Data(environment, component string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.things[place{environment, component}]; t != nil {
		return t.data, true
	}
	return "", false
}

// SetOutput sets a value that [Provider.Output] answers.
func (p *Provider) SetOutput(environment, name string, value []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outputs[place{environment, name}] = value
}

// Calls says how many times a verb was called, refused calls included.
func (p *Provider) Calls(verb string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[verb]
}

// Ledger lists every effect, oldest first: "up dev/db", "down dev/app". It is
// what a judge reads: an effect that happened twice stands in it twice.
func (p *Provider) Ledger() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.ledger)
}

// Forget empties the ledger.
func (p *Provider) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ledger = nil
}
