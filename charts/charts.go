// Package charts holds the Helm charts that come with Nightporter, so that a
// service can be deployed before anybody has written one: `chart: builtin:base`.
package charts

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed all:base
var files embed.FS

// Files are the charts as they lie in the source.
func Files() fs.FS { return files }

// Base packages the base chart as `helm package` would. The same source makes the
// same bytes.
func Base() ([]byte, error) { return Pack(files, "base") }

// Pack packages the chart in a folder of a file system. Files that begin with a
// dot, other than .helmignore, are left out.
func Pack(fsys fs.FS, dir string) ([]byte, error) {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	err := fs.WalkDir(fsys, dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != dir && strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".helmignore":
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s is no plain file", path)
		}
		text, err := fs.ReadFile(fsys, path)
		if err != nil {
			return err
		}
		name := "chart/" + strings.TrimPrefix(path, strings.TrimPrefix(dir+"/", "./"))
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			return err
		}
		_, err = archive.Write(text)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("package the chart: %w", err)
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	if err := zipped.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
