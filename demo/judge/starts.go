package judge

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Start is one line of the log in which services note their starts.
type Start struct {
	Service     string `json:"service"`
	Environment string `json:"environment"`
	Version     string `json:"version"`
	Commit      string `json:"commit"`
	Instance    string `json:"instance"` // the run, the step and the attempt that started it
	PID         int    `json:"pid"`
}

// Starts reads the log. A log that is not there is empty.
func Starts(path string) ([]Start, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []Start
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var s Start
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, fmt.Errorf("line %d of the log of starts: %w", len(list)+1, err)
		}
		list = append(list, s)
	}
	return list, lines.Err()
}

// Once checks that the machine saw one start for each release, environment and
// attempt.
func Once(list []Start) error {
	seen := map[string]Start{}
	for _, s := range list {
		if s.Instance == "" {
			return fmt.Errorf("pid %d started %s in %s for nobody", s.PID, s.Service, s.Environment)
		}
		if other, ok := seen[s.Instance]; ok {
			return fmt.Errorf("%s was started twice, as pid %d and %d", s.Instance, other.PID, s.PID)
		}
		seen[s.Instance] = s
	}
	return nil
}

// Of counts the starts of a version of a service in an environment.
func Of(list []Start, service, environment, version string) int {
	n := 0
	for _, s := range list {
		if s.Service == service && s.Environment == environment && s.Version == version {
			n++
		}
	}
	return n
}
