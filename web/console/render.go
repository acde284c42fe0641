package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// ContentSecurityPolicy is the header that every page must be sent with. The
// pages hold no inline script, no inline style and no foreign address.
const ContentSecurityPolicy = "default-src 'self'; style-src 'self'; script-src 'self'; img-src 'self' data:; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

// layoutFiles is what every page is made of beside its own template.
var layoutFiles = []string{"templates/layout.html", "templates/icons.html", "templates/partials.html"}

// Renderer turns view models into pages. It is safe for concurrent use.
type Renderer struct {
	pages  map[string]*template.Template
	assets *assets
}

// NewRenderer parses the embedded templates.
func NewRenderer() (*Renderer, error) {
	assets, err := readAssets()
	if err != nil {
		return nil, err
	}
	base, err := template.New("layout.html").Option("missingkey=error").Funcs(funcs(assets)).ParseFS(templateFiles, layoutFiles...)
	if err != nil {
		return nil, fmt.Errorf("parsing the console's layout: %w", err)
	}
	r := &Renderer{pages: map[string]*template.Template{}, assets: assets}
	for _, page := range []Page{&SignIn{}, &Home{}, &Board{}, &Release{}, &Service{}, &Activity{}, &EntryPage{}, &ErrorPage{}, &Secrets{}, &LoginPage{}, &IssuedLogin{}, &Environments{}, &EnvironmentPage{}, &Repos{}, &RepoPage{}, &PlanPage{}, &DoraPage{}, &FreezesPage{}, &SecurityBoard{}, &PosturePage{}, &FindingsPage{}, &FindingPage{}, &Dashboards{}, &DashboardPage{}, &PanelPage{}, &RisksPage{}} {
		name := page.template()
		t, err := template.Must(base.Clone()).ParseFS(templateFiles, "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("parsing the console's page %s: %w", name, err)
		}
		r.pages[name] = t
	}
	return r, nil
}

// Render writes a page. Nothing is written when a template fails, so that the
// caller can still answer with an error page.
func (r *Renderer) Render(w io.Writer, page Page) error {
	var b bytes.Buffer
	if err := r.pages[page.template()].ExecuteTemplate(&b, "layout.html", page); err != nil {
		return fmt.Errorf("rendering %s: %w", page.template(), err)
	}
	_, err := b.WriteTo(w)
	return err
}

// Static serves what the pages refer to, under /static/. Its answers may be
// cached for ever: the address changes with the content.
func (r *Renderer) Static() http.Handler { return r.assets }

// assets are the static files with the first digits of their hashes.
type assets struct {
	version map[string]string
	files   http.Handler
}

func readAssets() (*assets, error) {
	a := &assets{version: map[string]string{}, files: http.FileServerFS(staticFiles)}
	err := fs.WalkDir(staticFiles, "static", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := staticFiles.ReadFile(path)
		sum := sha256.Sum256(content)
		a.version[path] = hex.EncodeToString(sum[:6])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the console's static files: %w", err)
	}
	return a, nil
}

// url is the address of a static file, or an error for one that is not there,
// so that a typing mistake fails in the first test that renders the page.
func (a *assets) url(name string) (string, error) {
	path := "static/" + name
	v, ok := a.version[path]
	if !ok {
		return "", fmt.Errorf("no static file %q", name)
	}
	return "/" + path + "?v=" + v, nil
}

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, ok := a.version[strings.TrimPrefix(r.URL.Path, "/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"`+v+`"`)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.URL.Query().Get("v") == v {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		w.Header().Set("Cache-Control", "no-cache")
	}
	a.files.ServeHTTP(w, r)
}
