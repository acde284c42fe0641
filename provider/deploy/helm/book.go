package helm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// The labels by which pods and records are found again.
const (
	labelInstance    = "nightporter.dev/instance"    // which start it is of
	labelRelease     = "nightporter.dev/release"     // the Helm release
	labelEnvironment = "nightporter.dev/environment" //
	// annotationReplicas remembers how many replicas a workload has while it
	// is awake. It is written before the workload is put to sleep.
	annotationReplicas = "nightporter.dev/replicas"
)

// book is what we know of a release: every start of the last time, oldest first.
// It is kept in a ConfigMap beside the release.
type book struct {
	Entries []*entry `json:"entries"`
	// Operation is set while somebody changes the release.
	Operation *operation `json:"operation,omitempty"`

	at      *site
	version string // of the ConfigMap; "" when it is not there yet
}

// operation says whose turn it is, and until when that is believed.
type operation struct {
	Worker string    `json:"worker"`
	Until  time.Time `json:"until"`
}

// entry is one start.
type entry struct {
	Key         string              `json:"key"`
	Label       string              `json:"label"`
	Service     string              `json:"service"`
	Environment string              `json:"environment"`
	Version     nightporter.Version `json:"version"`
	Commit      string              `json:"commit,omitempty"`
	Artifact    deploy.Artifact     `json:"artifact"`
	HTTP        string              `json:"http,omitempty"`
	Within      time.Duration       `json:"within"`
	StartedAt   time.Time           `json:"started_at"`
	Role        deploy.Role         `json:"role"`
	// Revision is Helm's number for it, 0 while nobody knows whether there is one.
	Revision int `json:"revision,omitempty"`
	// Before is the revision to go back to; 0 for the first of a release.
	Before int `json:"before,omitempty"`
	// Healthy is set once it was seen healthy.
	Healthy bool `json:"healthy,omitempty"`
	// Refused says why it can never work, when the cluster said so.
	Refused string `json:"refused,omitempty"`
	// Healed says what was left half done and put right before it began.
	Healed string `json:"healed,omitempty"`
}

// bookKey is the one key of the ConfigMap, and maxEntries how many starts it holds.
const (
	bookKey    = "book.json"
	maxEntries = 50
)

// labelOf makes what a key is called in labels, which may not hold everything that
// a key may.
func labelOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "i" + hex.EncodeToString(sum[:10])
}

func isLabel(s string) bool {
	return len(s) == 21 && s[0] == 'i' && strings.Trim(s[1:], "0123456789abcdef") == ""
}

func (b *book) byKey(key string) *entry {
	for _, e := range b.Entries {
		if e.Key == key {
			return e
		}
	}
	return nil
}

func (b *book) byLabel(label string) *entry {
	for _, e := range b.Entries {
		if e.Label == label {
			return e
		}
	}
	return nil
}

// current is the last start that was not ended: what the release should be.
func (b *book) current() *entry {
	for i := len(b.Entries) - 1; i >= 0; i-- {
		if r := b.Entries[i].Role; r == deploy.Candidate || r == deploy.Serving {
			return b.Entries[i]
		}
	}
	return nil
}

func (b *book) add(r deploy.Request, now time.Time) *entry {
	e := &entry{
		Key: r.Key, Label: labelOf(r.Key), Service: r.Service, Environment: r.Environment, Version: r.Version, Commit: r.Commit,
		Artifact: r.Artifact, HTTP: r.Health.HTTP, Within: r.Health.Within, StartedAt: now.UTC(), Role: deploy.Candidate,
	}
	b.Entries = append(b.Entries, e)
	for len(b.Entries) > maxEntries && b.Entries[0].Role == deploy.Ended {
		b.Entries = b.Entries[1:]
	}
	return e
}

func (e *entry) sameAs(r deploy.Request) bool {
	return r.SameAs(deploy.Request{Service: e.Service, Environment: e.Environment, Version: e.Version, Commit: e.Commit, Artifact: e.Artifact})
}

// bookName is the name of the ConfigMap.
func (s *site) bookName() string { return "nightporter-" + s.Release }

// book reads what is known of the release; an empty one where nothing is.
func (s *site) book(ctx context.Context) (*book, error) {
	b := &book{at: s}
	m, err := s.Client.CoreV1().ConfigMaps(s.Namespace).Get(ctx, s.bookName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return b, nil
	}
	if err != nil {
		return nil, s.fault(err, "read the record of %s", s.Release)
	}
	if err := json.Unmarshal([]byte(m.Data[bookKey]), b); err != nil {
		return nil, fmt.Errorf("the ConfigMap %s in %s is damaged: %w", s.bookName(), s.Namespace, err)
	}
	b.version = m.ResourceVersion
	return b, nil
}

// entry reads the book and finds what a token names.
func (s *site) entry(ctx context.Context, t deploy.Token, label string) (*book, *entry, error) {
	b, err := s.book(ctx)
	if err != nil {
		return nil, nil, err
	}
	e := b.byLabel(label)
	if e == nil {
		return nil, nil, noInstance(t)
	}
	return b, e, nil
}

// save writes the book. It refuses with Unavailable when somebody else has written
// it since it was read: the caller begins again and sees what they did.
func (s *site) save(ctx context.Context, b *book) error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	maps := s.Client.CoreV1().ConfigMaps(s.Namespace)
	m := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: s.bookName(), Namespace: s.Namespace, ResourceVersion: b.version,
			Labels: map[string]string{labelRelease: s.Release, labelEnvironment: s.environment, "app.kubernetes.io/managed-by": "nightporter"},
		},
		Data: map[string]string{bookKey: string(text)},
	}
	if b.version != "" {
		m, err = maps.Update(ctx, m, metav1.UpdateOptions{FieldManager: ownManager})
	} else if m, err = maps.Create(ctx, m, metav1.CreateOptions{FieldManager: ownManager}); apierrors.IsNotFound(err) {
		// The namespace is not there: a brand-new environment.
		if err := s.makeNamespace(ctx); err != nil {
			return err
		}
		return s.save(ctx, b)
	}
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return nightporter.Wrap(err, nightporter.Unavailable, "somebody else changed the record of %s just now", s.Release)
	case err != nil:
		return s.fault(err, "write the record of %s", s.Release)
	}
	b.version = m.ResourceVersion
	return nil
}

// ownManager owns what we change beside Helm.
const ownManager = "nightporter"

func (s *site) makeNamespace(ctx context.Context) error {
	_, err := s.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: s.Namespace, Labels: map[string]string{labelEnvironment: s.environment},
	}}, metav1.CreateOptions{FieldManager: ownManager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return s.fault(err, "make the namespace %s", s.Namespace)
	}
	return nil
}
