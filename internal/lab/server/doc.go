// Package server holds the small test servers that run in a lab: an HTTPS
// server that tells its name and whom it sees, an FTP server with one passive
// port, and the DNS server of a site, which forwards some zones.
//
// Each Serve function blocks until its context ends. They listen in the network
// namespace of their process and keep nothing on disk. They are for labs: they
// serve anybody who reaches them. The command line's hidden verb starts them.
package server
