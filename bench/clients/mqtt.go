package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// mqttClient publishes with QoS 1 (MQTT 3.1.1) and counts PUBACKs.
type mqttClient struct {
	conn         net.Conn
	reader       *bufio.Reader
	topic        string
	mine         int
	window       int
	acknowledged atomic.Int64
}

func dialMQTT(o options, index, mine int) (*mqttClient, error) {
	conn, err := net.DialTimeout("tcp", o.addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	id := fmt.Sprintf("client-%d", index)
	variable := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 2, 1, 44}, text(id)...)
	if _, err := conn.Write(packet(0x10, variable)); err != nil {
		return nil, err
	}
	reader := bufio.NewReader(conn)
	answer := make([]byte, 4)
	if _, err := io.ReadFull(reader, answer); err != nil {
		return nil, err
	}
	if answer[0] != 0x20 || answer[3] != 0 {
		return nil, fmt.Errorf("CONNACK %x", answer)
	}
	return &mqttClient{conn: conn, reader: reader, topic: "bench/" + id, mine: mine, window: o.window}, nil
}

// text is a string with its length in front.
func text(value string) []byte {
	return append([]byte{byte(len(value) >> 8), byte(len(value))}, value...)
}

// packet has the remaining length in front of the body, 7 bits a byte.
func packet(head byte, body []byte) []byte {
	bytes := []byte{head}
	for left := len(body); ; {
		digit := byte(left % 128)
		left /= 128
		if left > 0 {
			digit |= 128
		}
		bytes = append(bytes, digit)
		if left == 0 {
			return append(bytes, body...)
		}
	}
}

func (m *mqttClient) run(deadline time.Time) (int, error) {
	defer m.conn.Close()
	if err := m.conn.SetDeadline(deadline); err != nil {
		return 0, err
	}
	moved := make(chan struct{}, 1)
	read := make(chan error, 1)
	go func() { read <- m.read(moved) }()
	publish := packet(0x32, append(append(text(m.topic), 0, 0), record()...))
	idAt := len(publish) - recordBytes - 2
	block := make([]byte, 0, m.window*len(publish))
	for sent := 0; sent < m.mine; {
		room := min(m.window-(sent-int(m.acknowledged.Load())), m.mine-sent)
		if room < min(m.window/4+1, m.mine-sent) {
			select {
			case <-moved:
			case err := <-read:
				return int(m.acknowledged.Load()), errors.Join(err, errors.New("ended early"))
			}
			continue
		}
		block = block[:0]
		for n := 0; n < room; n++ {
			// Ids are free again long before they come round: the window is smaller.
			binary.BigEndian.PutUint16(publish[idAt:], uint16((sent+n)%65_535)+1)
			block = append(block, publish...)
		}
		if _, err := m.conn.Write(block); err != nil {
			return int(m.acknowledged.Load()), err
		}
		sent += room
	}
	err := <-read
	return int(m.acknowledged.Load()), err
}

func (m *mqttClient) read(moved chan<- struct{}) error {
	answer := make([]byte, 4)
	for int(m.acknowledged.Load()) < m.mine {
		if _, err := io.ReadFull(m.reader, answer); err != nil {
			return err
		}
		if answer[0] != 0x40 {
			return fmt.Errorf("packet %x where a PUBACK is awaited", answer)
		}
		m.acknowledged.Add(1)
		select {
		case moved <- struct{}{}:
		default:
		}
	}
	return nil
}
