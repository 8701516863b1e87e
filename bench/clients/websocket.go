package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// webSocket sends a text message per record and reads counts of what is stored (RFC 6455).
type webSocket struct {
	conn         net.Conn
	reader       *bufio.Reader
	mine         int
	window       int
	acknowledged atomic.Int64
}

func dialWebSocket(o options, mine int) (*webSocket, error) {
	conn, err := net.DialTimeout("tcp", o.addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n", o.addr)
	reader := bufio.NewReader(conn)
	for first := true; ; first = false {
		line, err := reader.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if first && !strings.Contains(line, " 101 ") {
			return nil, fmt.Errorf("no upgrade: %s", strings.TrimSpace(line))
		}
		if line == "\r\n" {
			break
		}
	}
	return &webSocket{conn: conn, reader: reader, mine: mine, window: o.window}, nil
}

// textFrame is a masked text message; the key is zero, so that its bytes are the payload's.
func textFrame(payload []byte) []byte {
	return append([]byte{0x81, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
}

func (w *webSocket) run(deadline time.Time) (int, error) {
	defer w.conn.Close()
	if err := w.conn.SetDeadline(deadline); err != nil {
		return 0, err
	}
	moved := make(chan struct{}, 1)
	read := make(chan error, 1)
	go func() { read <- w.read(moved) }()
	frame := textFrame(record())
	block := make([]byte, 0, w.window*len(frame))
	for sent := 0; sent < w.mine; {
		room := min(w.window-(sent-int(w.acknowledged.Load())), w.mine-sent)
		if room < min(w.window/4+1, w.mine-sent) {
			select {
			case <-moved:
			case err := <-read:
				return int(w.acknowledged.Load()), errors.Join(err, errors.New("ended early"))
			}
			continue
		}
		block = block[:0]
		for n := 0; n < room; n++ {
			block = append(block, frame...)
		}
		if _, err := w.conn.Write(block); err != nil {
			return int(w.acknowledged.Load()), err
		}
		sent += room
	}
	err := <-read
	return int(w.acknowledged.Load()), err
}

// read takes frames {"stored":n} until everything is stored.
func (w *webSocket) read(moved chan<- struct{}) error {
	for int(w.acknowledged.Load()) < w.mine {
		opcode, payload, err := w.frame()
		if err != nil {
			return err
		}
		if opcode != 1 {
			return fmt.Errorf("opcode %d: %q", opcode, payload)
		}
		var count struct{ Stored int }
		if err := json.Unmarshal(payload, &count); err != nil {
			return err
		}
		w.acknowledged.Store(int64(count.Stored))
		select {
		case moved <- struct{}{}:
		default:
		}
	}
	return nil
}

func (w *webSocket) frame() (byte, []byte, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(w.reader, head); err != nil {
		return 0, nil, err
	}
	length := int(head[1] & 0x7f)
	if length == 126 {
		more := make([]byte, 2)
		if _, err := io.ReadFull(w.reader, more); err != nil {
			return 0, nil, err
		}
		length = int(binary.BigEndian.Uint16(more))
	}
	payload := make([]byte, length)
	_, err := io.ReadFull(w.reader, payload)
	return head[0] & 0x0f, payload, err
}
