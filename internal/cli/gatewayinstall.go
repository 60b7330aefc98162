package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"seikan/internal/site/service"
)

// installation is what install was told.
type installation struct {
	layout service.Layout
	root   string // below which all files go, for packages and tests
	print  bool
	vendor bool // as a package: below /usr/lib
}

func newGatewayInstall(s *streams) *cobra.Command {
	o := installation{layout: service.Layout{Base: "/etc"}}
	c := &cobra.Command{
		Use:   "install",
		Short: "Install the gateway as a service of systemd",
		Long: `Copies this program, and writes a unit of systemd with a user of its own, three
capabilities and little else, and what makes the user and protects the
configuration with its keys. Nothing is started: what to do next is printed.
` + exitHelp,
		Example: "  seikan gateway install --print\n  sudo seikan gateway install",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if o.vendor {
				o.layout.Base = "/usr/lib"
			}
			files, err := service.Files(o.layout)
			if err != nil {
				return usageError{err}
			}
			if o.print {
				_, err := io.WriteString(s.out, files[0].Text)
				return err
			}
			return o.run(s, files)
		},
	}
	c.Flags().BoolVar(&o.print, "print", false, "print the unit; write nothing")
	c.Flags().StringVar(&o.layout.Binary, "binary", "/usr/local/bin/seikan", "`PATH` to copy this program to")
	c.Flags().StringVar(&o.layout.Config, "config", service.Config, "`PATH` of the gateway's configuration file")
	c.Flags().StringVar(&o.root, "root", "/", "`DIRECTORY` that stands for /, to make a package")
	c.Flags().BoolVar(&o.vendor, "vendor", false, "write below /usr/lib, as packages do, not /etc")
	return c
}

func (o installation) run(s *streams, files []service.File) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := o.copy(self, o.layout.Binary); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s: copied\n", filepath.Join(o.root, o.layout.Binary))
	for _, f := range files {
		path := filepath.Join(o.root, f.Path)
		if err := replaceFile(path, 0o644, func(w *os.File) error { _, err := w.WriteString(f.Text); return err }); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s: written\n", path)
	}
	if o.root != "/" {
		return nil
	}
	_, err = fmt.Fprintf(s.out, `
Now make the user, then the configuration, and start it:
  systemd-sysusers && systemd-tmpfiles --create
  seikan gateway import aws.json --route 10.0.0.0/16 -o %[1]s   # or from seikan gateway example
  systemd-tmpfiles --create                                     # gives the file to its user
  systemctl daemon-reload && systemctl enable --now %[2]s
`, o.layout.Config, service.Unit)
	return err
}

// copy installs a program; one that runs from there already stays.
func (o installation) copy(from, to string) error {
	to = filepath.Join(o.root, to)
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	own, err := in.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Stat(to); err == nil && os.SameFile(own, there) {
		return nil
	}
	return replaceFile(to, 0o755, func(w *os.File) error { _, err := io.Copy(w, in); return err })
}

// replaceFile puts a file in its place in one step, with the directories above.
func replaceFile(path string, mode os.FileMode, write func(*os.File) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".seikan-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if err := errors.Join(write(tmp), tmp.Chmod(mode), tmp.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.Rename(tmp.Name(), path)
}
