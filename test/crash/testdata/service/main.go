// Service is what the crash tests deploy. It writes down that it was started,
// answers who it is, and ends by itself should nobody be left to end it.
package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

func main() {
	os.Exit(run())
}

func run() int {
	name := os.Getenv("STARTS")
	starts, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	// One write of one line: starts of several services do not mix.
	fmt.Fprintf(starts, "%s %s %s\n", os.Getenv("NIGHTPORTER_INSTANCE"), os.Getenv("NIGHTPORTER_ENVIRONMENT"), os.Getenv("NIGHTPORTER_VERSION"))
	starts.Close()
	if self, err := os.Executable(); err != nil {
		fmt.Println(err)
		return 1
	} else if mood, _ := os.ReadFile(filepath.Join(filepath.Dir(self), "mood")); string(mood) != "good\n" {
		// A house that watches it has time for a heartbeat.
		time.Sleep(1200 * time.Millisecond)
		fmt.Printf("panic: the mood is %q\n", mood)
		return 3
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	// The test's folder going away means that the test has.
	go func() {
		for time.Sleep(time.Second); ; time.Sleep(time.Second) {
			if _, err := os.Stat(name); err != nil {
				os.Exit(0)
			}
		}
	}()
	time.AfterFunc(10*time.Minute, func() { os.Exit(0) })
	body := fmt.Sprintf(`{"version":%q,"commit":%q}`, os.Getenv("NIGHTPORTER_VERSION"), os.Getenv("NIGHTPORTER_COMMIT"))
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Println(err)
			return 1
		}
		go func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(5 * time.Second))
			c.Read(make([]byte, 4096))
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
		}()
	}
}
