// Command seikan is AWS Site-to-Site VPN and what stands behind it, on your own
// machines.
package main

func main() {}
