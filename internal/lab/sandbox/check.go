package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// Check reports, in one line each, what this machine lacks for a lab: nft(8),
// nsenter(1), /dev/net/tun, user namespaces.
func Check() error {
	return errors.Join(checkTool("nft", "nftables"), checkTool("nsenter", "util-linux"), checkTUN("/dev/net/tun"), checkUserNamespaces("/proc/sys", os.Geteuid()))
}

func checkTool(name, pkg string) error {
	if _, err := findTool(name); err != nil {
		return fmt.Errorf("%s(8) is not installed: install the package %s (Debian: apt-get install %s)", name, pkg, pkg)
	}
	return nil
}

// findTool looks for name on the PATH and where Debian keeps system tools,
// which are not on an ordinary user's PATH.
func findTool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin/", "/sbin/", "/usr/bin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

func checkTUN(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist: load the module (modprobe tun), or give the container the device", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be opened: allow it (chmod 0666 %s), as distributions do", path, path)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%s has no driver: load the module (modprobe tun)", path)
	}
	return err
}

// checkUserNamespaces reads the settings by which a kernel or a distribution
// forbids unprivileged users to make namespaces. Root needs none.
func checkUserNamespaces(sys string, uid int) error {
	if uid == 0 {
		return nil
	}
	for _, s := range []struct{ file, bad, name string }{
		{"/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"},
		{"/kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"},
		{"/user/max_user_namespaces", "0", "user.max_user_namespaces=1024"},
	} {
		if v, err := os.ReadFile(sys + s.file); err == nil && strings.TrimSpace(string(v)) == s.bad {
			return fmt.Errorf("this machine forbids user namespaces to ordinary users: run `sudo sysctl -w %s`, or run the lab as root", s.name)
		}
	}
	return nil
}

// explainStart turns the kernel's refusal to make namespaces into what to do.
func explainStart(err error, uid int) error {
	switch {
	case errors.Is(err, unix.EPERM) && uid != 0:
		return errors.New("this machine refuses user namespaces to ordinary users (kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, or a container's seccomp profile): allow them, or run the lab as root")
	case errors.Is(err, unix.EPERM):
		return errors.New("this machine refuses new namespaces even to root: in a container, start it with --privileged, or with CAP_SYS_ADMIN and CAP_NET_ADMIN")
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return errors.New("the limit on namespaces is reached: raise user.max_user_namespaces, user.max_net_namespaces and user.max_mnt_namespaces (sysctl -w …=1024)")
	}
	return fmt.Errorf("starting the lab's supervisor: %w", err)
}
