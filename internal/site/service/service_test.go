package service

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func files(t *testing.T, l Layout) []File {
	t.Helper()
	list, err := Files(l)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestFilesNameBinaryAndConfiguration(t *testing.T) {
	list := files(t, Layout{Binary: "/opt/bin/seikan", Config: "/etc/vpn/office.yaml", Base: "/usr/lib"})
	for i, want := range []struct{ path, line string }{
		{"/usr/lib/systemd/system/seikan-gateway.service", "ExecStart=/opt/bin/seikan gateway run --config /etc/vpn/office.yaml --state %S/seikan-gateway --control %t/seikan-gateway/control.sock\n"},
		{"/usr/lib/sysusers.d/seikan.conf", "u seikan - \"Seikan gateway\" /var/lib/seikan-gateway\n"},
		{"/usr/lib/tmpfiles.d/seikan.conf", "d /etc/vpn 0750 root seikan -\nz /etc/vpn/* 0600 seikan seikan -\n"},
	} {
		if list[i].Path != want.path || !strings.Contains(list[i].Text, want.line) || strings.Contains(list[i].Text, "@BINARY@") {
			t.Errorf("got %s\n%s\nwant %s with %s", list[i].Path, list[i].Text, want.path, want.line)
		}
	}
}

func TestUnitGivesThreeCapabilitiesToAUserOfItsOwn(t *testing.T) {
	text := files(t, Layout{Binary: "/usr/bin/seikan", Config: Config, Base: "/etc"})[0].Text
	for _, line := range []string{
		"User=" + User, "CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_NET_RAW", "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_NET_RAW",
		"ExecReload=/usr/bin/seikan gateway reload --control %t/seikan-gateway/control.sock",
		"NoNewPrivileges=yes", "ProtectSystem=strict", "StateDirectory=" + filepath.Base(State), "RuntimeDirectory=" + filepath.Base(filepath.Dir(Control)), "DevicePolicy=closed",
		"Nice=-5", // processors.Nice: it lacks the right to take that itself
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
	if strings.Contains(text, "RemoveIPC=yes") || strings.Contains(text, "ProtectKernelTunables=yes") {
		t.Error("the unit takes away what the gateway needs")
	}
}

func TestPathsThatTheServiceCannotUseAreRefused(t *testing.T) {
	for _, bad := range []string{"seikan", "/opt/a b/seikan", "/opt/%n", "/opt/../seikan", "/home/a/seikan", "/root/seikan", "/tmp/seikan", ""} {
		if _, err := Files(Layout{Binary: bad, Config: Config, Base: "/etc"}); err == nil || !strings.Contains(err.Error(), "path ") {
			t.Errorf("binary %q: got %v, want a refusal", bad, err)
		}
	}
	if _, err := Files(Layout{Binary: "/usr/bin/seikan", Config: "/root/gateway.yaml", Base: "/etc"}); err == nil || !strings.Contains(err.Error(), "does not see /root") {
		t.Errorf("got %v, want a refusal", err)
	}
}

// systemd's own word, where there is systemd: the unit is well-formed, and how
// exposed it is on a scale to 10. Elsewhere the tests above stand alone.
func TestSystemdTakesTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("there is no systemd-analyze here; the unit's form is checked by the other tests only")
		return
	}
	dir := t.TempDir()
	unit := filepath.Join(dir, Unit)
	text := files(t, Layout{Binary: "/usr/bin/true", Config: Config, Base: "/etc"})[0].Text
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, Unit) {
			t.Errorf("verify: %s", strings.TrimSpace(line))
		}
	}
	if err != nil && !strings.Contains(string(out), "Failed to") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	// The threshold is in tenths. Versions of systemd count differently; 252 says 2.0.
	out, err = exec.Command(analyze, "security", "--offline=true", "--threshold=25", "--no-pager", unit).CombinedOutput()
	t.Logf("security: %s", lastLine(string(out)))
	if err != nil && strings.Contains(string(out), "exposure level") {
		t.Errorf("security: the unit is more exposed than 2.5: %s", lastLine(string(out)))
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
