// Package capture reads the IP packets that pass a link, tells in one line what
// each is, counts them by kind, and writes them as a pcap file.
//
// It sees IP only (no ARP), without the link's header, so a TUN and an Ethernet
// look alike. It decrypts nothing and follows no connection: each packet
// stands for itself, and what is not understood is shown by its protocol
// number. Open works in the network namespace of the calling thread. Package
// lab and the command line use it.
package capture
