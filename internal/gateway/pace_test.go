package gateway

import (
	"testing"
	"time"
)

func TestPaceIsOnlyForManyTunnels(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: 0, 10 * time.Millisecond: 0, 20 * time.Millisecond: 400 * time.Millisecond, time.Second: 5 * time.Second,
	} {
		if got := pace(took); got != want {
			t.Errorf("after %v: got %v, want %v", took, got, want)
		}
	}
}
