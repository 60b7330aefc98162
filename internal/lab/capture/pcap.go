package capture

import (
	"encoding/binary"
	"io"
)

// linkRaw is LINKTYPE_RAW: packets begin with the IP header.
const linkRaw = 101

// pcapMagic announces time stamps in nanoseconds.
const pcapMagic = 0xa1b23c4d

// A Writer writes frames as a pcap file, which tcpdump and Wireshark read. It
// is used by one goroutine.
type Writer struct {
	w   io.Writer
	buf []byte
}

// NewWriter writes the file's header to w.
func NewWriter(w io.Writer) (*Writer, error) {
	b := binary.LittleEndian.AppendUint32(nil, pcapMagic)
	b = binary.LittleEndian.AppendUint16(b, 2) // version 2.4
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...) // time zone and accuracy: zero by convention
	b = binary.LittleEndian.AppendUint32(b, SnapLen)
	b = binary.LittleEndian.AppendUint32(b, linkRaw)
	_, err := w.Write(b)
	return &Writer{w: w}, err
}

// Write appends one frame in a single write.
func (w *Writer) Write(f Frame) error {
	b := binary.LittleEndian.AppendUint32(w.buf[:0], uint32(f.Time.Unix()))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.Time.Nanosecond()))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Data)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Data)))
	w.buf = append(b, f.Data...)
	_, err := w.w.Write(w.buf)
	return err
}
