package mem

import "nightporter.dev/nightporter/provider/deploy"

// Behaviour is how a version or a build acts. The zero Behaviour is good: built
// and healthy at the first look, ended at the first word.
type Behaviour struct {
	// Looks is how many times Observe answers starting before healthy.
	Looks int
	// Fails, when not empty, is the message with which the instance fails at
	// the first look.
	Fails string
	// Silent makes an instance that lives and never answers: it fails when
	// Health.Within is over.
	Silent bool
	// Reports is the version the instance states. "" means the right one.
	Reports string
	// Retryable is set on the failures of Fails and BuildFails.
	Retryable bool
	// DrainLooks is how many times a verb answers pending while it ends.
	DrainLooks int
	// BuildLooks is how many times ObserveBuild answers building.
	BuildLooks int
	// BuildFails, when not empty, is the message with which the build fails.
	BuildFails string
	// Lines are the log, of the build as well as of the instance.
	Lines []string
}

// Rule says what behaves how. Empty fields match everything; the rule that was
// added last wins. Builds know no environment and no version: only rules without
// them match a build.
type Rule struct {
	Service     string
	Environment string
	Version     string // "1.4.0"
	Commit      string
	// Times is how many starts and builds the rule applies to. 0 means all.
	Times int
	Behaviour
}

// Rule adds a rule for what is started or built from now on.
func (d *Deployer) Rule(r Rule) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Times == 0 {
		r.Times = -1
	}
	d.rules = append(d.rules, &r)
}

func (d *Deployer) match(service, environment, version, commit string) Behaviour {
	for n := len(d.rules) - 1; n >= 0; n-- {
		r := d.rules[n]
		if r.Times == 0 || r.Service != "" && r.Service != service || r.Environment != "" && r.Environment != environment ||
			r.Version != "" && r.Version != version || r.Commit != "" && r.Commit != commit {
			continue
		}
		if r.Times > 0 {
			r.Times--
		}
		return r.Behaviour
	}
	return Behaviour{}
}

// Fault makes the next times calls of a verb ("Start", "ObserveBuild") answer
// with err and do nothing. A negative times means until it is set again; 0 ends
// it.
func (d *Deployer) Fault(verb string, times int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults[verb] = &fault{left: times, err: err}
}

// Kill ends an instance the way a crash would: nobody asked for it.
func (d *Deployer) Kill(t deploy.Token) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, err := d.find(t)
	if err != nil {
		return err
	}
	i.gone = true
	return nil
}

// Starts says how many times something was really started for a key.
func (d *Deployer) Starts(key string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.starts[key]
}

// Token is the token that was handed to the instance of a key, "" for none.
func (d *Deployer) Token(key string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tokens[key]
}

// Calls says how many times a verb was called, refused calls included.
func (d *Deployer) Calls(verb string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[verb]
}

// Keys lists the keys of everything that was ever started, oldest first.
func (d *Deployer) Keys() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var keys []string
	for _, i := range d.instances {
		keys = append(keys, i.Key)
	}
	return keys
}

// Builds says how many times a commit was really built.
func (d *Deployer) Builds(commit string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, b := range d.builds {
		if b.request.Commit == commit {
			n++
		}
	}
	return n
}
