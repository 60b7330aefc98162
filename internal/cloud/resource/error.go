package resource

import (
	"errors"
	"fmt"
)

// An Error is an answer that the caller of an operation gets: his fault or a
// state he can see. Code is AWS's, with AWS's own casing (vpn §1.9, pl §1.14,
// pl §2.12). Errors of any other type are ours, and answered InternalError.
type Error struct {
	Code    string
	Message string
}

// Error is the code and the message, as command line clients print them.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Is reports whether target is an Error of the same code and, unless target
// has none, the same message: errors.Is(err, &Error{Code: "…"}) asks by code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Message == "" || t.Message == e.Message)
}

// Errorf makes an Error. The message names field, value and rule.
func Errorf(code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf is the AWS code of err: empty for nil, "InternalError" for what is
// not the caller's doing.
func CodeOf(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return "InternalError"
}

// Codes that several features answer. Those of one feature stand beside the
// check that gives them.
const (
	CodeInvalidParameterValue       = "InvalidParameterValue"
	CodeInvalidParameterCombination = "InvalidParameterCombination"
	CodeInvalidParameter            = "InvalidParameter"
	CodeMissingParameter            = "MissingParameter"
	CodeDependencyViolation         = "DependencyViolation"
	CodeIncorrectState              = "IncorrectState"
	CodeOperationNotPermitted       = "OperationNotPermitted"
	CodeVPCNotFound                 = "InvalidVpcID.NotFound"
	CodeSubnetNotFound              = "InvalidSubnetID.NotFound"
	CodeGroupNotFound               = "InvalidGroup.NotFound"
	CodeInterfaceNotFound           = "InvalidNetworkInterfaceID.NotFound"
	CodeInstanceNotFound            = "InvalidInstanceID.NotFound"
	CodeRouteTableNotFound          = "InvalidRouteTableID.NotFound"
	CodeIPAddressInUse              = "InvalidIPAddress.InUse"
	CodeNoFreeAddresses             = "InsufficientFreeAddressesInSubnet"
)
