package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"nightporter.dev/nightporter/provider/deploy"
)

// tokenFile is where an instance finds its token: in its home, which nobody else
// may enter.
func (d *Deployer) tokenFile(id string) string {
	return filepath.Join(d.instanceDir(id), "run", "token")
}

// handOver puts a fresh token where only the instance finds it, and returns the
// path. It comes before the process: a start that was cut short leaves a token
// that nobody has opened, and the next one writes its own over it.
func (d *Deployer) handOver(ctx context.Context, i *instance, c deploy.Credentials) (path string, err error) {
	token, err := c.Token(ctx)
	if err != nil {
		return "", err
	}
	path = d.tokenFile(i.id)
	return path, d.putToken(path, token)
}

// putToken writes a token to a file in a folder that belongs to the service's
// user. A name that nobody can guess, opened with O_EXCL and mode 0600, is not one
// that was put there; it is given away through its descriptor, and renaming
// follows no link.
func (d *Deployer) putToken(path, token string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".token-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // does nothing once it is renamed
	if d.user != nil {
		err = f.Chown(int(d.user.credential.Uid), int(d.user.credential.Gid))
	}
	if err == nil {
		_, err = f.WriteString(token + "\n")
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// takeBack removes the token of an instance that has ended. It was used or has
// ended; this only keeps the folder tidy.
func (d *Deployer) takeBack(id string) error {
	err := os.Remove(d.tokenFile(id))
	if notExist(err) {
		return nil
	}
	return err
}
