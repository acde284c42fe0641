package world

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Browser is one without scripts: it follows links, keeps cookies and sends forms.
type Browser struct {
	base   *url.URL
	client http.Client
}

// Page is what a browser shows.
type Page struct {
	Status int
	URL    *url.URL
	HTML   string
}

// NewBrowser opens a browser that nobody has signed in with.
func (w *World) NewBrowser() (*Browser, error) {
	base, err := url.Parse(w.Porter.URL())
	if err != nil {
		return nil, err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &Browser{base: base, client: http.Client{Jar: jar, Timeout: 10 * time.Second}}, nil
}

// SignIn opens a person's one-time link and presses its button.
func (b *Browser) SignIn(ctx context.Context, link string) (Page, error) {
	page, err := b.Open(ctx, link)
	if err != nil {
		return page, err
	}
	return b.Send(ctx, page, "/sign-in", nil)
}

// Open shows a page: a path, or a whole address.
func (b *Browser) Open(ctx context.Context, address string) (Page, error) {
	return b.do(ctx, http.MethodGet, address, nil)
}

// ErrNoForm is that a page has no such form.
var ErrNoForm = errors.New("the page has no such form")

var (
	forms  = regexp.MustCompile(`(?s)<form[^>]*\bmethod="post"[^>]*\baction="([^"]*)"[^>]*>(.*?)</form>`)
	hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// Send fills in the first form of a page whose action has a word in it, presses
// its button and shows where that leads.
func (b *Browser) Send(ctx context.Context, page Page, word string, fields url.Values) (Page, error) {
	for _, form := range forms.FindAllStringSubmatch(page.HTML, -1) {
		action := html.UnescapeString(form[1])
		if !strings.Contains(action, word) {
			continue
		}
		sent := url.Values{}
		for _, in := range hidden.FindAllStringSubmatch(form[2], -1) {
			sent.Set(html.UnescapeString(in[1]), html.UnescapeString(in[2]))
		}
		for name, values := range fields {
			sent[name] = values
		}
		return b.do(ctx, http.MethodPost, action, sent)
	}
	return page, fmt.Errorf("%s: %q: %w", page.URL.Path, word, ErrNoForm)
}

func (b *Browser) do(ctx context.Context, method, address string, fields url.Values) (Page, error) {
	target, err := b.base.Parse(address)
	if err != nil {
		return Page{}, err
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return Page{}, err
	}
	req.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", b.base.String())
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return Page{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	return Page{Status: resp.StatusCode, URL: resp.Request.URL, HTML: string(body)}, err
}
