package database

import "sync"

// keyedLock is a lock for each key.
type keyedLock struct {
	mu    sync.Mutex
	locks map[string]*keyLock
	work  sync.WaitGroup
}

type keyLock struct {
	sync.Mutex
	users int
}

func newKeyedLock() *keyedLock { return &keyedLock{locks: map[string]*keyLock{}} }

func (k *keyedLock) lock(key string) (unlock func()) {
	k.mu.Lock()
	l := k.locks[key]
	if l == nil {
		l = &keyLock{}
		k.locks[key] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, key)
		}
	}
}

// try does something in the background, unless the key is busy.
func (k *keyedLock) try(key string, do func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.locks[key] != nil {
		return
	}
	k.locks[key] = &keyLock{}
	k.work.Go(func() {
		defer func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			delete(k.locks, key)
		}()
		do()
	})
}

// wait waits for what try started.
func (k *keyedLock) wait() { k.work.Wait() }
