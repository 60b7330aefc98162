package cli

import (
	"seikan/internal/lab"
	"seikan/internal/lab/cloudside"
)

// newCloud makes the AWS side of a lab.
func newCloud(cfg lab.CloudConfig) (lab.Cloud, error) { return cloudside.New(cfg) }
