package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"
)

// poster sends one request after the other over a connection that is kept.
type poster struct {
	url    string
	batch  int
	mine   int
	client http.Client
}

func newPoster(o options, mine int) *poster {
	return &poster{
		url:    "http://" + o.addr + "/records",
		batch:  o.batch,
		mine:   mine,
		client: http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}},
	}
}

func (p *poster) run(deadline time.Time) (int, error) {
	p.client.Timeout = time.Until(deadline)
	line := append(record(), '\n')
	body := bytes.Repeat(line, p.batch)
	acknowledged := 0
	for acknowledged < p.mine {
		count := min(p.batch, p.mine-acknowledged)
		response, err := p.client.Post(p.url, "application/x-ndjson", bytes.NewReader(body[:count*len(line)]))
		if err != nil {
			return acknowledged, err
		}
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if err != nil {
			return acknowledged, err
		}
		switch response.StatusCode {
		case http.StatusOK:
			acknowledged += count
		case http.StatusServiceUnavailable:
			time.Sleep(10 * time.Millisecond)
		default:
			return acknowledged, fmt.Errorf("status %d", response.StatusCode)
		}
	}
	return acknowledged, nil
}
