package cli

import (
	"errors"

	"seikan/internal/lab"
)

// newCloud makes the AWS side of a lab.
func newCloud(lab.CloudConfig) (lab.Cloud, error) {
	return nil, errors.New("the cloud is not joined to the lab yet; `seikan lab up --only-sites` builds the rest")
}
