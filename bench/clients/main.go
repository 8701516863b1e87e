// Command clients sends 100-byte records to a receiver on loopback over HTTP, WebSocket or MQTT, waits until each one is
// acknowledged, and prints one JSON line of results.
//
//	clients -proto http -addr 127.0.0.1:8080 -count 1000000 -conns 4 -batch 1000
//	clients -proto websocket -addr 127.0.0.1:8081 -count 1000000 -conns 2
//	clients -proto mqtt -addr 127.0.0.1:1883 -count 300000 -conns 100 -window 100
//
// It ends with status 1 when not every record that it sent was acknowledged.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const recordBytes = 100

type options struct {
	proto  string
	addr   string
	count  int
	conns  int
	batch  int
	window int
	limit  time.Duration
}

// results is what the one line on standard output holds.
type results struct {
	Sent         int     `json:"sent"`
	Acknowledged int     `json:"acknowledged"`
	Seconds      float64 `json:"seconds"`
	CPUSeconds   float64 `json:"cpuSeconds"`
}

// client is one connection with its share of the records.
type client interface {
	// run sends all records and returns how many were acknowledged.
	run(deadline time.Time) (int, error)
}

func main() {
	chosen, err := parse()
	if err != nil {
		fail(err)
	}
	clients := make([]client, chosen.conns)
	for index := range clients {
		if clients[index], err = dial(chosen, index); err != nil {
			fail(err)
		}
	}
	outcome, err := run(chosen, clients)
	line, encodeErr := json.Marshal(outcome)
	if encodeErr != nil {
		fail(encodeErr)
	}
	fmt.Println(string(line))
	if err != nil {
		fail(err)
	}
}

func parse() (options, error) {
	var o options
	flag.StringVar(&o.proto, "proto", "http", "http, websocket or mqtt")
	flag.StringVar(&o.addr, "addr", "127.0.0.1:8080", "loopback address")
	flag.IntVar(&o.count, "count", 100_000, "records in all")
	flag.IntVar(&o.conns, "conns", 4, "connections")
	flag.IntVar(&o.batch, "batch", 1, "records per request of http")
	flag.IntVar(&o.window, "window", 1_000, "records of a connection that are not acknowledged, websocket and mqtt")
	flag.DurationVar(&o.limit, "max", 5*time.Minute, "give up after this")
	flag.Parse()
	host, _, err := net.SplitHostPort(o.addr)
	if err != nil || !net.ParseIP(host).IsLoopback() {
		return o, fmt.Errorf("%q is not a loopback address", o.addr)
	}
	if o.conns < 1 || o.count < o.conns || o.batch < 1 || o.window < 1 || o.window > 60_000 {
		return o, fmt.Errorf("conns is 1 to count, batch at least 1, window 1 to 60000")
	}
	return o, nil
}

func dial(o options, index int) (client, error) {
	mine := (o.count - index + o.conns - 1) / o.conns
	switch o.proto {
	case "http":
		return newPoster(o, mine), nil
	case "websocket":
		return dialWebSocket(o, mine)
	case "mqtt":
		return dialMQTT(o, index, mine)
	}
	return nil, fmt.Errorf("proto is %q, allowed are http, websocket and mqtt", o.proto)
}

// run lets all clients go at once and adds up what they saw.
func run(o options, clients []client) (results, error) {
	var waiting sync.WaitGroup
	var guard sync.Mutex
	outcome := results{Sent: o.count}
	var firstErr error
	start := time.Now()
	for _, c := range clients {
		waiting.Add(1)
		go func(c client) {
			defer waiting.Done()
			acknowledged, err := c.run(start.Add(o.limit))
			guard.Lock()
			defer guard.Unlock()
			outcome.Acknowledged += acknowledged
			if firstErr == nil {
				firstErr = err
			}
		}(c)
	}
	waiting.Wait()
	outcome.Seconds = time.Since(start).Seconds()
	outcome.CPUSeconds = cpuSeconds()
	if firstErr == nil && outcome.Acknowledged != outcome.Sent {
		firstErr = fmt.Errorf("%d records sent, %d acknowledged", outcome.Sent, outcome.Acknowledged)
	}
	return outcome, firstErr
}

// record is one reading of 100 bytes.
func record() []byte {
	const reading = `{"id":"000000000","ts":1763692207123,"dev":"sensor-0017","temp":21.53,"hum":44.1,"ok":true,"s":"a1"}`
	if len(reading) != recordBytes {
		panic(fmt.Sprintf("a record has %d bytes", len(reading)))
	}
	return []byte(reading)
}

// cpuSeconds is user and system time of this process, so that a run can say what the load cost.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "clients:", err)
	os.Exit(1)
}
