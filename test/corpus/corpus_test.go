package corpus_test

import (
	"reflect"
	"strings"
	"testing"

	"nightporter.dev/nightporter/test/corpus"
)

func TestMake(t *testing.T) {
	t.Parallel()
	all := corpus.Make(7, 20)
	t.Run("the same seed makes the same corpus, another one another", func(t *testing.T) {
		if !reflect.DeepEqual(all, corpus.Make(7, 20)) {
			t.Error("two corpora of one seed differ")
		}
		if reflect.DeepEqual(all, corpus.Make(8, 20)) {
			t.Error("two seeds make one corpus")
		}
	})
	t.Run("every secret stands in its file, once, and no file has two names", func(t *testing.T) {
		paths, secrets := map[string]bool{}, 0
		for _, s := range all {
			if paths[s.Path] {
				t.Errorf("%s is there twice", s.Path)
			}
			paths[s.Path] = true
			if s.Secret == "" {
				continue
			}
			if secrets++; strings.Count(s.Text, s.Secret) != 1 {
				t.Errorf("%s: %q stands %d times in\n%s", s.Path, s.Secret, strings.Count(s.Text, s.Secret), s.Text)
			}
			if len(s.Secret) < 8 {
				t.Errorf("%s: %q is too short for anybody's password", s.Path, s.Secret)
			}
		}
		if harmless := len(all) - secrets; secrets < 500 || harmless < 500 {
			t.Errorf("%d secrets and %d harmless files", secrets, harmless)
		}
	})
}
