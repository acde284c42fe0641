package sabotage

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// stale stands in front of the real compiler: it keeps a copy of the ledger's last
// binary and, once armed, hands that out whatever the source says.
const stale = `#!/bin/sh
case "$*" in
*"-o bin/ledger"*)
	if [ -e '%[2]s' ]; then
		mkdir -p bin && cp '%[3]s' bin/ledger
		exit
	fi
	'%[1]s' "$@" && cp bin/ledger '%[3]s.new' && mv '%[3]s.new' '%[3]s'
	;;
*) exec '%[1]s' "$@" ;;
esac
`

// staleCompiler writes a program called go into dir.
func staleCompiler(dir, armed string) error {
	real, err := exec.LookPath("go")
	if err != nil {
		return err
	}
	text := fmt.Sprintf(stale, real, armed, filepath.Join(dir, "last"))
	return os.WriteFile(filepath.Join(dir, "go"), []byte(text), 0o755)
}
