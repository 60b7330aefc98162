// Package lab runs a whole world on one machine: sites, the internet between
// and the cloud, from one declarative file, in network namespaces.
//
// It plans the on-premises side and the internet as a netspec value, starts
// the hosts' programs (this binary again), lets a Cloud build the AWS side, and
// runs a walk-through over the result. It knows the AWS side only by the Cloud
// interface. It must run inside a sandbox (package sandbox), where all that it
// makes ends with its process. The command line is its only caller.
package lab
