// Command generator sends numbered 104-byte records over TCP to a loopback address, reads the
// cumulative counts that come back (a line per group commit) and prints one JSON line of results.
//
//	generator -addr 127.0.0.1:9000 -count 1000000 -conns 2            full speed, blocks of 256
//	generator -addr 127.0.0.1:9000 -count 100000 -rate 10000 -block 1 paced, with latencies
//
// It ends with status 1 when not every record that it sent was acknowledged.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"sort"
	"sync"
	"syscall"
	"time"
)

type options struct {
	addr    string
	count   int
	conns   int
	rate    int
	block   int
	latency bool
	tls     bool
	warmup  time.Duration
	limit   time.Duration
}

// results is what the one line on standard output holds. Latencies are in milliseconds, from
// just before the write call to the line that acknowledged the record.
type results struct {
	Sent         int     `json:"sent"`
	Acknowledged int     `json:"acknowledged"`
	Seconds      float64 `json:"seconds"`
	SendSeconds  float64 `json:"sendSeconds"`
	CPUSeconds   float64 `json:"cpuSeconds"`
	Samples      int     `json:"samples"`
	P50          float64 `json:"p50Ms"`
	P99          float64 `json:"p99Ms"`
	P999         float64 `json:"p999Ms"`
	Max          float64 `json:"maxMs"`
}

func main() {
	chosen, err := parse()
	if err != nil {
		fail(err)
	}
	clients := make([]*client, chosen.conns)
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
	flag.StringVar(&o.addr, "addr", "127.0.0.1:9000", "loopback address")
	flag.IntVar(&o.count, "count", 1_000_000, "records in all")
	flag.IntVar(&o.conns, "conns", 2, "connections")
	flag.IntVar(&o.rate, "rate", 0, "records per second in all, 0 is full speed")
	flag.IntVar(&o.block, "block", 256, "records per write")
	flag.BoolVar(&o.latency, "latency", false, "stamp records with the time and report latencies")
	flag.BoolVar(&o.tls, "tls", false, "encrypt; any certificate will do")
	flag.DurationVar(&o.warmup, "warmup", 0, "leave out latencies of records sent before this")
	flag.DurationVar(&o.limit, "max", 5*time.Minute, "stop sending after this, give up 30 s later")
	flag.Parse()
	host, _, err := net.SplitHostPort(o.addr)
	if err != nil || !net.ParseIP(host).IsLoopback() {
		return o, fmt.Errorf("%q is not a loopback address", o.addr)
	}
	if o.count < 1 || o.count > idsMax || o.conns < 1 || o.conns > o.count || o.block < 1 || o.rate < 0 {
		return o, fmt.Errorf("count is 1 to %d, conns 1 to count, block at least 1, rate at least 0", idsMax)
	}
	return o, nil
}

// run sends and receives on all clients at once and adds up what they saw.
func run(o options, clients []*client) (results, error) {
	var waiting sync.WaitGroup
	start := time.Now()
	for _, c := range clients {
		waiting.Add(2)
		go func(c *client) { defer waiting.Done(); c.send(start) }(c)
		go func(c *client) { defer waiting.Done(); c.receive(start) }(c)
	}
	waiting.Wait()
	outcome := results{Seconds: time.Since(start).Seconds(), CPUSeconds: cpuSeconds()}
	var latencies []float64
	var firstErr error
	for _, c := range clients {
		outcome.Sent += c.sent
		outcome.Acknowledged += c.acknowledged
		outcome.SendSeconds = max(outcome.SendSeconds, c.sendSeconds)
		latencies = append(latencies, c.latenciesMs...)
		if err := c.problem(); err != nil && firstErr == nil {
			firstErr = err
		}
	}
	outcome.addLatencies(latencies)
	if firstErr == nil && outcome.Acknowledged != outcome.Sent {
		firstErr = fmt.Errorf("%d records sent, %d acknowledged", outcome.Sent, outcome.Acknowledged)
	}
	return outcome, firstErr
}

func (r *results) addLatencies(sorted []float64) {
	r.Samples = len(sorted)
	if len(sorted) == 0 {
		return
	}
	sort.Float64s(sorted)
	at := func(share float64) float64 { return sorted[int(share*float64(len(sorted)-1))] }
	r.P50, r.P99, r.P999, r.Max = at(0.5), at(0.99), at(0.999), at(1)
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
	fmt.Fprintln(os.Stderr, "generator:", err)
	os.Exit(1)
}
