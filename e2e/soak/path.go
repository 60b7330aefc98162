//go:build e2e

package main

// The namespaces, from end to end.
const (
	client = "client"
	gwA    = "gwA"
	gwB    = "gwB"
	server = "server"
)

const (
	clientAddr, serverAddr = "10.1.0.2", "10.2.0.2"
	siteA, siteB           = "10.1.0.0/24", "10.2.0.0/24"
	outsideA, outsideB     = "192.0.2.1", "192.0.2.2"
	insideA, insideB       = "169.254.10.2/30", "169.254.10.1/30"
)

// laid joins the namespaces, in ip's words.
const laid = `
netns add client
netns add gwA
netns add gwB
netns add server
-n client link add eth0 type veth peer name lan netns gwA
-n server link add eth0 type veth peer name lan netns gwB
-n gwA link add wan type veth peer name wan netns gwB
-n client address add 10.1.0.2/24 dev eth0
-n server address add 10.2.0.2/24 dev eth0
-n gwA address add 10.1.0.1/24 dev lan
-n gwB address add 10.2.0.1/24 dev lan
-n gwA address add 192.0.2.1/30 dev wan
-n gwB address add 192.0.2.2/30 dev wan
-n client link set eth0 up
-n server link set eth0 up
-n gwA link set lan up
-n gwB link set lan up
-n gwA link set wan up
-n gwB link set wan up
-n client route add default via 10.1.0.1
-n server route add default via 10.2.0.1
`
