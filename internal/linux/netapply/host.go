// Package netapply makes the network of this machine match a netspec.Spec, and
// reads back what it has.
//
// Apply is idempotent and total: what this package owns and the Spec does not
// name is removed, what was changed behind its back is repaired, what is not
// its own is never touched. It decides nothing: what a host shall have is
// computed elsewhere. It keeps no goroutine running and logs nothing. It needs
// CAP_NET_ADMIN and CAP_SYS_ADMIN in the user namespace that owns the network
// namespaces, and nft(8) for specs with tables. Only the process that is
// responsible for the machine's network (the host role, the lab) may call it.
//
// # Ownership
//
// A namespace that Apply created belongs to its Owner with all that is in it,
// but for what the kernel makes by itself and for TUN devices, which belong to
// the process that holds them open. That it was created is recorded below
// StateDir. In other namespaces, that of the process included, these are ours:
//
//   - links whose ifalias begins with "seikan:<owner>", and their addresses;
//   - routes and rules with protocol number 86 (one Owner a namespace);
//   - nftables tables whose name begins with "seikan";
//   - addresses on loopback and External links, and sysctls, that the record
//     below StateDir says Apply added or changed.
//
// A Guest is a second Owner in a namespace of somebody else's, such as a VPN
// gateway in a namespace that the lab laid. Its routes and rules have protocol
// number 87. Owner and Guest do not see each other's.
package netapply

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"os/exec"
	"path/filepath"
	"sync"
)

// Protocol and GuestProtocol mark routes and rules as ours, rtm_protocol and
// FRA_PROTOCOL.
const (
	Protocol      = 86
	GuestProtocol = 87
)

// Options are the settings of a Host. The zero value is usable.
type Options struct {
	Owner    string // whose things these are; "seikan" when empty; letters, digits, '-', '_', '.'
	Dir      string // where namespaces are bound; DefaultDir when empty
	StateDir string // records of ownership; "seikan-netns/<Owner>" beside Dir when empty
	Nft      string // path of nft(8); looked up when empty
	Guest    bool   // work beside the Owner of a namespace
}

// A Host is the network of this machine as far as one Owner is concerned. Its
// methods may be called by many goroutines at once; they take turns.
type Host struct {
	opts Options
	seed maphash.Seed // of fingerprints

	// mu guards what stands below it.
	mu     sync.Mutex
	spaces map[string]*space // open namespaces by name
}

// protocol marks our routes and rules; stranger are marked those of the other
// kind of Owner.
func (h *Host) protocol() (ours, stranger int) {
	if h.opts.Guest {
		return GuestProtocol, Protocol
	}
	return Protocol, GuestProtocol
}

// A Report says what one Apply did.
type Report struct {
	// Changes are the operations done, in order, each as
	// "vpc-1: add route 10.0.0.0/16 dev eni-1 table 100".
	Changes []string
	// Pending are the parts that wait for a link that does not exist yet, an
	// External one or a veth into a namespace that failed: "vgw-1: link tun0",
	// "vgw-1: route 192.168.1.0/24 dev tun0".
	Pending []string
	// Fingerprint is that of a moment before everything was found to be as it is
	// wanted; zero when it could not be had, or something is not as it is wanted.
	Fingerprint Fingerprint
}

// New returns the Host for opts. It does not touch the machine.
func New(opts Options) *Host {
	if opts.Owner == "" {
		opts.Owner = "seikan"
	}
	if opts.Dir == "" {
		opts.Dir = DefaultDir
	}
	if opts.StateDir == "" {
		opts.StateDir = filepath.Join(filepath.Dir(opts.Dir), "seikan-netns", opts.Owner)
	}
	return &Host{opts: opts, seed: maphash.MakeSeed(), spaces: map[string]*space{}}
}

// Path returns the file that stands for the namespace name, for setns(2) or
// "nsenter --net="; empty for the namespace of the process.
func (h *Host) Path(name string) string { return namespacePath(h.opts.Dir, name) }

// In is InNamespace for the namespaces of h.
func (h *Host) In(name string, fn func() error) error { return inPath(h.Path(name), fn) }

// Start starts cmd inside the namespace name; the caller waits for it.
func (h *Host) Start(name string, cmd *exec.Cmd) error { return StartIn(h.Path(name), cmd) }

// CommandIn runs name with args inside namespace ns until it ends, and returns
// what it wrote to standard output. The error has its standard error.
func (h *Host) CommandIn(ctx context.Context, ns, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := h.Start(ns, cmd); err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return stdout.Bytes(), fmt.Errorf("%s in namespace %q: %w: %s", name, ns, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// Close frees the sockets that h holds. It leaves the machine as it is, and h
// usable.
func (h *Host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, s := range h.spaces {
		s.close()
		delete(h.spaces, name)
	}
	return nil
}
