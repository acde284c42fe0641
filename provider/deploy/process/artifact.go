package process

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// artifactDir is the folder of an artifact, whose name must be well formed.
func (d *Deployer) artifactDir(a deploy.Artifact) (string, error) {
	digest, ok := strings.CutPrefix(string(a), "sha256:")
	if b, err := hex.DecodeString(digest); !ok || err != nil || len(b) != sha256.Size || digest != strings.ToLower(digest) {
		return "", nightporter.E(nightporter.Invalid, "%q is not the name of an artifact", a)
	}
	return d.path("artifacts", digest), nil
}

// checkArtifact reads the artifact and compares its bytes with its name: what is
// deployed is what was built and approved, or nothing.
func (d *Deployer) checkArtifact(a deploy.Artifact) error {
	dir, err := d.artifactDir(a)
	if err != nil {
		return err
	}
	got, err := hashTree(dir)
	if notExist(err) {
		return nightporter.E(nightporter.Invalid, "there is no artifact %s on this machine", a).WithHint("build the commit first")
	}
	if err != nil {
		return fmt.Errorf("reading the artifact %s: %w", a, err)
	}
	if got != a {
		return nightporter.E(nightporter.Invalid, "the artifact %s was changed after it was built", a)
	}
	return nil
}

// hashTree names a tree by its content: the SHA-256 of one line for each file,
// in byte order of the paths,
//
//	<sha256 of the content>  <x or ->  <path>
//	<sha256 of the target>  l  <path>          for a symbolic link
//
// where x is a file that its owner may execute. Empty folders, times and owners
// do not count.
func hashTree(root string) (deploy.Artifact, error) {
	lines := map[string]string{} // by path
	err := walkTree(root, func(rel string, e fs.DirEntry) error {
		path := filepath.Join(root, rel)
		info, err := e.Info()
		if err != nil {
			return err
		}
		sum, mark := sha256.New(), "-"
		if info.Mode().Type() == fs.ModeSymlink {
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			mark = "l"
			_, _ = io.WriteString(sum, target) // a hash never fails
		} else {
			if info.Mode()&0o100 != 0 {
				mark = "x"
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			_, err = io.Copy(sum, f)
			if err := errors.Join(err, f.Close()); err != nil {
				return err
			}
		}
		lines[rel] = fmt.Sprintf("%x  %s  %s\n", sum.Sum(nil), mark, rel)
		return nil
	})
	if err != nil {
		return "", err
	}
	total := sha256.New()
	for _, rel := range slices.Sorted(maps.Keys(lines)) {
		_, _ = io.WriteString(total, lines[rel])
	}
	return deploy.Artifact("sha256:" + hex.EncodeToString(total.Sum(nil))), nil
}

// walkTree visits the files and symbolic links below root. Anything else that is
// no folder is an error, and so is a link that leads out of the tree: an artifact
// stands on its own.
func walkTree(root string, visit func(rel string, e fs.DirEntry) error) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch e.Type() {
		case fs.ModeDir:
			return nil
		case 0:
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if filepath.IsAbs(target) || !filepath.IsLocal(filepath.Join(filepath.Dir(rel), target)) {
				return nightporter.E(nightporter.Invalid, "the link %s leads out of the build's output", rel)
			}
		default:
			return nightporter.E(nightporter.Invalid, "%s is neither a file nor a folder nor a link", rel)
		}
		if strings.ContainsAny(rel, "\n") {
			return nightporter.E(nightporter.Invalid, "the name %q holds a line break", rel)
		}
		return visit(rel, e)
	})
}

// access says what the copy of a tree is for.
type access int

const (
	readOnly access = iota
	writable
)

// copyTree copies a tree to a folder that must not exist, and hands each thing to
// give, if there is one. It leaves out git's own folder: a build must not depend
// on history that another checkout of the same commit may lack. Files are opened
// within the tree, whatever links point at meanwhile.
func copyTree(from, to string, a access, give func(path string) error) error {
	root, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only read from
	return fs.WalkDir(root.FS(), ".", func(rel string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if rel == ".git" {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil // the pointer of a work tree
		}
		target := filepath.Join(to, rel)
		switch e.Type() {
		case fs.ModeDir:
			err = os.Mkdir(target, 0o755)
		case fs.ModeSymlink:
			var text string
			if text, err = root.Readlink(rel); err == nil {
				err = os.Symlink(text, target)
			}
		case 0:
			err = copyFile(root, rel, target, a)
		default:
			return nightporter.E(nightporter.Invalid, "%s is neither a file nor a folder nor a link", rel)
		}
		if err != nil || give == nil {
			return err
		}
		return give(target)
	})
}

// copyFile keeps of the mode only whether the owner may execute the file.
func copyFile(root *os.Root, rel, to string, a access) error {
	in, err := root.Open(rel)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read from
	info, err := in.Stat()
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o444)
	if info.Mode()&0o100 != 0 {
		mode |= 0o111
	}
	if a == writable {
		mode |= 0o200
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(mode), out.Close()) // whatever our umask is
}
