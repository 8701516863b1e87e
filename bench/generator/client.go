package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// giveUpAfter is how long a connection waits for acknowledgements after sending has ended.
const giveUpAfter = 30 * time.Second

// client is one connection: ids index, index + conns, index + 2 conns and so on.
// send and receive run side by side; stamped carries the send times from one to the other.
type client struct {
	options
	index        int
	mine         int
	conn         net.Conn
	stamped      []time.Time
	sentAll      chan struct{}
	sent         int
	acknowledged int
	sendSeconds  float64
	latenciesMs  []float64
	sendErr      error
	receiveErr   error
}

func dial(o options, index int) (*client, error) {
	conn, err := connect(o)
	if err != nil {
		return nil, err
	}
	mine := (o.count - index + o.conns - 1) / o.conns
	c := &client{options: o, index: index, mine: mine, conn: conn, sentAll: make(chan struct{})}
	if o.latency {
		c.stamped = make([]time.Time, mine)
		c.latenciesMs = make([]float64, 0, mine)
	}
	return c, nil
}

func connect(o options) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	if o.tls {
		return tls.DialWithDialer(&dialer, "tcp", o.addr, &tls.Config{InsecureSkipVerify: true})
	}
	return dialer.Dial("tcp", o.addr)
}

// send writes this client's records in blocks and then half-closes: a server that still owes a
// count sends it after the FIN.
func (c *client) send(start time.Time) {
	defer close(c.sentAll)
	deadline := start.Add(c.limit)
	c.sendErr = c.conn.SetDeadline(deadline.Add(giveUpAfter))
	records := newTemplates()
	block := make([]byte, 0, c.block*recordBytes)
	for id := c.index; id < c.count && c.sendErr == nil; {
		c.pace(start, id)
		if time.Now().After(deadline) {
			break
		}
		block = block[:0]
		first := c.sent
		for n := 0; n < c.block && id < c.count; n, id = n+1, id+c.conns {
			block = append(block, c.stamp(records.of(id), first+n)...)
		}
		c.sent = first + len(block)/recordBytes
		_, c.sendErr = c.conn.Write(block)
	}
	c.sendSeconds = time.Since(start).Seconds()
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok && c.sendErr == nil {
		c.sendErr = half.CloseWrite()
	}
}

// pace sleeps until a record is due; a sender that fell behind sends at once until it caught up.
func (c *client) pace(start time.Time, id int) {
	if c.rate == 0 {
		return
	}
	due := start.Add(time.Duration(float64(id) / float64(c.rate) * float64(time.Second)))
	if wait := time.Until(due); wait > 0 {
		time.Sleep(wait)
	}
}

// stamp puts the time into the record, for readers of the output, and keeps it for receive.
func (c *client) stamp(record []byte, ordinal int) []byte {
	if !c.latency {
		return record
	}
	now := time.Now()
	c.stamped[ordinal] = now
	putDigits(record[timeAt:timeAt+timeDigits], now.UnixMicro()%timeModulus)
	return record
}

// receive reads counts until the server closes: it does so after its last count, because of the
// FIN. A server that keeps the connection open is left as soon as everything is acknowledged.
func (c *client) receive(start time.Time) {
	defer c.conn.Close()
	reader := bufio.NewReader(c.conn)
	for c.acknowledged < c.mine {
		line, err := reader.ReadString('\n')
		if err != nil {
			<-c.sentAll
			if c.acknowledged < c.sent {
				c.receiveErr = fmt.Errorf("connection %d ended at count %d: %w", c.index, c.acknowledged, err)
			}
			return
		}
		count, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil || count <= c.acknowledged || count > c.mine {
			c.receiveErr = fmt.Errorf("connection %d: count %q after %d", c.index, line, c.acknowledged)
			return
		}
		c.note(start, count)
	}
	<-c.sentAll
}

// note takes a cumulative count over. The write of a record happens before its count is read, so
// its stamp is set.
func (c *client) note(start time.Time, count int) {
	if c.latency {
		now := time.Now()
		for _, at := range c.stamped[c.acknowledged:count] {
			if at.Sub(start) >= c.warmup {
				c.latenciesMs = append(c.latenciesMs, float64(now.Sub(at).Microseconds())/1000)
			}
		}
	}
	c.acknowledged = count
}

func (c *client) problem() error { return errors.Join(c.sendErr, c.receiveErr) }
