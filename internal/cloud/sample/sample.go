// Package sample is what the cloud hands out for the customer's end of a VPN
// connection: the document CustomerGatewayConfiguration, and configurations for
// devices of many makers (vpn §1.10, §7.1).
//
// It reads rows and writes texts, which hold pre-shared keys: whoever prints them
// prints those. It changes no row, and knows no device: package site/device does.
// The API and the lab call it.
package sample

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"seikan/internal/cloud/filter"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpn"
	"seikan/internal/site/device"
)

// Codes of these operations (vpn §1.9, §7.1).
const (
	codeUnsupported = "UnsupportedOperation"
	codeState       = "InvalidVpnConnection.InvalidState"
	codeNextToken   = "InvalidNextToken"
)

// The bounds of MaxResults (vpn §7.1).
const (
	minResults = 200
	maxResults = 1000
)

// A DeviceType is a kind of device. ID is VpnConnectionDeviceTypeId, eight
// hexadecimal digits that never change.
type DeviceType struct{ ID, Vendor, Platform, Software string }

// GetVPNConnectionDeviceTypes lists the devices that there are configurations for,
// by vendor. maxResults is 200 to 1000, or 0 for as many as there are; token is
// that of the page before, or empty, and next that of the page after, or empty.
// Codes: InvalidParameterValue, InvalidNextToken.
func GetVPNConnectionDeviceTypes(most int, token string) (page []DeviceType, next string, err error) {
	if most != 0 && (most < minResults || most > maxResults) {
		return nil, "", resource.Errorf(resource.CodeInvalidParameterValue, "MaxResults: %d is not from %d to %d", most, minResults, maxResults)
	}
	all, err := device.Types()
	if err != nil {
		return nil, "", err
	}
	var list []DeviceType
	for _, t := range all {
		list = append(list, DeviceType{t.ID, t.Vendor, t.Platform, t.Software})
	}
	return pageOf(list, most, token)
}

// tokenMark begins what a token holds: the place where its page begins.
const tokenMark = "device-types "

func pageOf[T any](list []T, most int, token string) (page []T, next string, err error) {
	from := 0
	if token != "" {
		text, err := base64.RawURLEncoding.DecodeString(token)
		at, ok := strings.CutPrefix(string(text), tokenMark)
		from, _ = strconv.Atoi(at)
		if err != nil || !ok || from <= 0 || from >= len(list) {
			return nil, "", resource.Errorf(codeNextToken, "NextToken: %q is not one that was given out; leave it out to begin anew", token)
		}
	}
	to := len(list)
	if most > 0 {
		to = min(to, from+most)
	}
	if to < len(list) {
		next = base64.RawURLEncoding.EncodeToString([]byte(tokenMark + strconv.Itoa(to)))
	}
	return list[from:to], next, nil
}

// A ConfigurationInput says which configuration is wanted.
type ConfigurationInput struct {
	VPNConnectionID resource.VPNConnectionID
	DeviceTypeID    string // VpnConnectionDeviceTypeId; as an extension its name, too
	// InternetKeyExchangeVersion is ikev1 or ikev2; empty: the better that device
	// and connection have.
	InternetKeyExchangeVersion string
	// SampleType is compatibility (default), which offers all that connection and
	// device have, or recommended: the best of it, with IKEv2, and nothing weak.
	SampleType string
	// Announce are the networks that the site announces by BGP, Interface and Local
	// the device's own names of its outside: extensions, since AWS's samples leave
	// them to be filled in. Without Announce it is what the site announces now.
	Announce  []netip.Prefix
	Interface string
	Local     netip.Addr
}

// GetVPNConnectionDeviceSampleConfiguration returns the files for a device to be
// the customer gateway of a connection. Keys that a secret keeps are not in them;
// a text that says so stands there. Codes: MissingParameter,
// InvalidParameterValue, InvalidVpnConnectionID.NotFound,
// InvalidVpnConnection.InvalidState, and UnsupportedOperation for what the device
// cannot do and for SampleType recommended with IKEv1.
func GetVPNConnectionDeviceSampleConfiguration(tx *store.Tx, who resource.Account, in ConfigurationInput) ([]device.File, error) {
	typ, err := in.check()
	if err != nil {
		return nil, err
	}
	rows, err := describe(tx, who, in.VPNConnectionID)
	if err != nil {
		return nil, err
	}
	if err := configurable(tx, rows); err != nil {
		return nil, err
	}
	c, err := connection(tx, rows, typ, in.Announce)
	if err != nil {
		return nil, err
	}
	choice := device.Choices{IKE: in.InternetKeyExchangeVersion, Interface: in.Interface, Local: in.Local}
	if in.SampleType == sampleRecommended {
		c.Exact, c.Strong, choice.IKE = true, true, "ikev2"
	}
	files, err := device.Configure(typ, c, choice)
	if err != nil {
		return nil, resource.Errorf(codeUnsupported, "%v", err)
	}
	return files, nil
}

// describe finds a connection that is not on its way out.
func describe(tx *store.Tx, who resource.Account, id resource.VPNConnectionID) (resource.VPNConnection, error) {
	rows, err := vpn.DescribeVPNConnections(tx, who, []resource.VPNConnectionID{id})
	if err != nil {
		return resource.VPNConnection{}, err
	}
	if !rows[0].Alive() {
		return rows[0], resource.Errorf(codeState, "the VPN connection %s is %s, not available", id, rows[0].State)
	}
	return rows[0], nil
}

// configurable refuses a connection of which there is nothing to tell a device.
func configurable(tx *store.Tx, c resource.VPNConnection) error {
	customer, _ := store.CustomerGateways.Get(tx, c.CustomerGatewayID)
	switch {
	case customer.CertificateARN != "":
		return resource.Errorf(codeUnsupported, "the VPN connection %s authenticates by the certificate %s, and configurations of devices are written for pre-shared keys; set the device up by what DescribeVpnConnections shows", c.ID, customer.CertificateARN)
	case c.Target() == "" && !c.StaticRoutesOnly:
		return resource.Errorf(codeUnsupported, "the VPN connection %s is not associated with a gateway, whose number BGP needs; associate it by ModifyVpnConnection", c.ID)
	}
	return nil
}

// Values of SampleType (vpn §7.1).
const (
	sampleCompatibility = "compatibility"
	sampleRecommended   = "recommended"
)

func (in ConfigurationInput) check() (typ device.Type, err error) {
	switch {
	case in.VPNConnectionID == "":
		return typ, resource.Errorf(resource.CodeMissingParameter, "VpnConnectionId: is required")
	case in.DeviceTypeID == "":
		return typ, resource.Errorf(resource.CodeMissingParameter, "VpnConnectionDeviceTypeId: is required; GetVpnConnectionDeviceTypes lists them")
	case !slices.Contains([]string{"", "ikev1", "ikev2"}, in.InternetKeyExchangeVersion):
		return typ, resource.Errorf(resource.CodeInvalidParameterValue, "InternetKeyExchangeVersion: %q is neither ikev1 nor ikev2", in.InternetKeyExchangeVersion)
	case !slices.Contains([]string{"", sampleCompatibility, sampleRecommended}, in.SampleType):
		return typ, resource.Errorf(resource.CodeInvalidParameterValue, "SampleType: %q is neither %s nor %s", in.SampleType, sampleCompatibility, sampleRecommended)
	case in.SampleType == sampleRecommended && in.InternetKeyExchangeVersion == "ikev1":
		return typ, resource.Errorf(codeUnsupported, "SampleType: %s is for ikev2; ask for %s with ikev1", sampleRecommended, sampleCompatibility)
	}
	if typ, err = device.Find(in.DeviceTypeID); err != nil {
		return typ, resource.Errorf(resource.CodeInvalidParameterValue, "VpnConnectionDeviceTypeId: %v", err)
	}
	return typ, nil
}

// Configuration is CustomerGatewayConfiguration of a connection as describe
// returns it: AWS's XML with the connection's true algorithms. It is empty only for
// one whose state AWS shows none for (vpn §1.3, §1.6). AWS's document of a connection
// with certificates, or without a gateway, is not known (vpn §1.10): what there is not
// is left out, which is the key of the one, or empty, which are the address of a
// customer gateway that has none and the number of a gateway that is not there.
func Configuration(tx *store.Tx, c resource.VPNConnection) (string, error) {
	if !c.Alive() {
		return "", nil
	}
	typ, err := device.Find(xmlDevice)
	if err != nil {
		return "", err
	}
	told, err := connection(tx, c, typ, nil)
	if err != nil {
		return "", err
	}
	told.Exact, told.Describe = true, true
	files, err := device.Configure(typ, told, device.Choices{})
	if err != nil {
		return "", err
	}
	return files[0].Text, nil
}

// xmlDevice is the device whose file is AWS's XML.
const xmlDevice = "aws-xml"

// A Described is a connection with its CustomerGatewayConfiguration.
type Described struct {
	resource.VPNConnection
	CustomerGatewayConfiguration string
}

// configurationFilter is the filter of DescribeVpnConnections that is about the
// document (vpn §1.8).
const configurationFilter = "customer-gateway-configuration"

// DescribeVPNConnections is that of package vpn, with the document of each and
// its filter.
func DescribeVPNConnections(tx *store.Tx, who resource.Account, ids []resource.VPNConnectionID, filters ...filter.Filter) ([]Described, error) {
	var own, rest []filter.Filter
	for _, f := range filters {
		if f.Name == configurationFilter {
			own = append(own, f)
		} else {
			rest = append(rest, f)
		}
	}
	rows, err := vpn.DescribeVPNConnections(tx, who, ids, rest...)
	if err != nil {
		return nil, err
	}
	var out []Described
	for _, c := range rows {
		text, err := Configuration(tx, c)
		if err != nil {
			return nil, fmt.Errorf("configuration of %s: %w", c.ID, err)
		}
		out = append(out, Described{c, text})
	}
	fields := filter.Fields[Described]{configurationFilter: func(d Described) []string { return filter.One(d.CustomerGatewayConfiguration) }}
	return filter.Select(out, fields, func(d Described) resource.Tags { return d.Tags }, own)
}
