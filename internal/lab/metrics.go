package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"

	"seikan/internal/lab/sandbox"
)

// Metrics are the measurements of the running lab h in Prometheus's text format,
// asked from outside.
func Metrics(ctx context.Context, h sandbox.Handle) (string, error) {
	path, done, err := h.Socket(MetricsFile)
	if err != nil {
		return "", err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://lab/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("lab %s measures nothing: it has no cloud", h.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "", fmt.Errorf("lab %s: %w; `seikan lab up` starts one", h.Name, sandbox.ErrNotRunning)
	case err != nil:
		return "", fmt.Errorf("lab %s: its measurements: %w", h.Name, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("lab %s: its measurements: %s: %s", h.Name, resp.Status, text)
	}
	return string(text), err
}
