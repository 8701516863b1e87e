package main

// A record is 104 bytes with its newline. Byte 7 to 15 are the id, byte 23 to 35 a time; the
// verifiers of the bench read both at these places.
const (
	hotRecord  = `{"id":"000000000","ts":1763692207123,"dev":"sensor-0017","temp":21.53,"hum":44.1,"ok":true,"site":"a1"}` + "\n"
	coldRecord = `{"id":"000000000","ts":1763692207123,"dev":"sensor-0017","temp":11.53,"hum":44.1,"ok":true,"site":"a1"}` + "\n"

	recordBytes = len(hotRecord)
	idAt        = 7
	idDigits    = 9
	idsMax      = 1_000_000_000
	timeAt      = 23
	timeDigits  = 13
	timeModulus = 10_000_000_000_000

	// Every fifth record is cold: a filter on the temperature keeps 80 %.
	coldEvery = 5
)

// templates are copied into a block and then numbered in place.
type templates struct{ hot, cold []byte }

func newTemplates() templates {
	return templates{hot: []byte(hotRecord), cold: []byte(coldRecord)}
}

// of returns the template for an id, numbered; it is good until the next call.
func (t templates) of(id int) []byte {
	record := t.hot
	if id%coldEvery == 0 {
		record = t.cold
	}
	putDigits(record[idAt:idAt+idDigits], int64(id))
	return record
}

// putDigits writes a number in decimal, with leading zeros, over the whole of a slice.
func putDigits(into []byte, value int64) {
	for at := len(into) - 1; at >= 0; at-- {
		into[at] = byte('0' + value%10)
		value /= 10
	}
}
