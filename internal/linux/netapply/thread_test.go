package netapply_test

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
)

// here returns the identity of the network namespace of the thread.
func here(t *testing.T) string {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	link, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return link
}

func TestThreadsReturnToTheirNamespace(t *testing.T) {
	h := newHost(t)
	home := here(t)
	apply(t, h, netspec.Spec{Namespaces: []netspec.Namespace{{Name: "a"}, {Name: "b"}}})
	inside := map[string]string{}
	for _, name := range []string{"a", "b"} {
		err := netapply.InNamespace(name, func() error {
			inside[name] = here(t)
			// One inside another returns to the namespace of the process, for
			// it has a thread of its own.
			return h.In("", func() error { return nil })
		})
		if err != nil {
			t.Fatalf("InNamespace(%s): %v", name, err)
		}
	}
	if inside["a"] == home || inside["b"] == home || inside["a"] == inside["b"] {
		t.Errorf("namespaces: got %v and %s outside, want three different ones", inside, home)
	}
	// Whatever thread these goroutines get, it is clean.
	var wait sync.WaitGroup
	for range 64 {
		wait.Go(func() {
			if got := here(t); got != home {
				t.Errorf("a thread afterwards: got %s, want %s", got, home)
			}
		})
	}
	wait.Wait()
}

func TestInNamespaceReturnsTheError(t *testing.T) {
	h := newHost(t)
	apply(t, h, netspec.Spec{Namespaces: []netspec.Namespace{{Name: "a"}}})
	broken := errors.New("broken")
	if err := h.In("a", func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error of the function: got %v, want %v", err, broken)
	}
	err := h.In("a", func() error { runtime.Goexit(); return nil })
	if err == nil || !strings.Contains(err.Error(), "ended its goroutine") {
		t.Errorf("a function that ends its goroutine: got %v, want an error", err)
	}
	if err := h.In("none", func() error { return nil }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a namespace that is not there: got %v, want not exist", err)
	}
}

// TestMainThreadIsSpared holds every goroutine that could take the main
// thread, so that InNamespace is sometimes given it.
func TestMainThreadIsSpared(t *testing.T) {
	h := newHost(t)
	apply(t, h, netspec.Spec{Namespaces: []netspec.Namespace{{Name: "a"}}})
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			err := h.In("a", func() error {
				main, err := os.Readlink("/proc/self/ns/net")
				if err == nil && main != before {
					err = errors.New("the main thread is in " + main)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

func TestOwnNamespaceNeedsNoRightToBeIn(t *testing.T) {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with what it lacks
		var none [2]unix.CapUserData
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
			result <- err
			return
		}
		ran := false
		err := netapply.InNamespace("/proc/self/ns/net", func() error { ran = true; return nil })
		if err == nil && !ran {
			err = errors.New("it did not run")
		}
		result <- err
	}()
	if err := <-result; err != nil {
		t.Errorf("got %v, want no error", err)
	}
}
