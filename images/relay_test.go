package images

import (
	"context"
	"fmt"
	"testing"

	"github.com/moby/moby/api/types/jsonstream"
	"gotest.tools/v3/assert"
)

// Who listens late or slowly learns every status, but not every amount.
func TestARelaySkipsAmountsAndNoStatus(t *testing.T) {
	var r relay
	for n := range 1000 {
		r.tell(jsonstream.Message{ID: "a", Status: "Downloading", Progress: &jsonstream.Progress{Current: int64(n)}})
	}
	l := &listener{wake: make(chan struct{}, 1)}
	r.listeners = map[*listener]bool{l: true}
	for n := range 1000 {
		r.tell(jsonstream.Message{ID: "a", Status: "Extracting", Progress: &jsonstream.Progress{Current: int64(n)}})
	}
	r.tell(jsonstream.Message{ID: "b", Status: "Downloading"})
	r.tell(jsonstream.Message{ID: "a", Status: "Pull complete"})
	assert.Equal(t, len(l.pending), 3)
	r.end()
	var got []string
	r.follow(context.Background(), func(m jsonstream.Message) { got = append(got, fmt.Sprint(m.ID, " ", m.Status)) })
	assert.DeepEqual(t, got, []string{"a Pull complete", "b Downloading"})
}
