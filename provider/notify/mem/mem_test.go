package mem_test

import (
	"context"
	"fmt"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/notify/mem"
	"nightporter.dev/nightporter/provider/notify/notifytest"
)

func TestNotifier(t *testing.T) {
	t.Parallel()
	notifytest.Run(t, func(t *testing.T) notifytest.World {
		n := &mem.Notifier{}
		return notifytest.World{
			Notifier: n,
			Received: func() []string {
				var all []string
				for _, m := range n.Sent() {
					all = append(all, m.Title)
				}
				return all
			},
			Break: func(code nightporter.Code) { n.Fail(nightporter.E(code, "told to fail")) },
		}
	})
}

func TestNotifierShowsEachKeyOnce(t *testing.T) {
	t.Parallel()
	n := &mem.Notifier{}
	for range 2 {
		if err := n.Send(t.Context(), notifytest.Message()); err != nil {
			t.Fatal(err)
		}
	}
	if len(n.Sent()) != 2 || len(n.Shown()) != 1 {
		t.Errorf("sent %d and shown %d, want 2 and 1", len(n.Sent()), len(n.Shown()))
	}
}

func ExampleNotifier() {
	var n mem.Notifier
	_ = n.Send(context.Background(), notifytest.Message())
	fmt.Println(n.Shown()[0].Title)
	// Output: ledger 1.4.0 waits for an approval
}
