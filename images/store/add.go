package store

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/internal/archive"
)

// Add unpacks the tar of a layer that nobody knows yet, compressed or not, above
// the layers with the chain ids of below, and gives its diff id. The lease has
// all of them. After an error nothing is left that was not there before.
func (s *Store) Add(ctx context.Context, below []digest.Digest, tar io.Reader) (diffID digest.Digest, lease *Lease, err error) {
	lease, err = s.leaseChain(below)
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			lease.Release()
			lease = nil
		}
	}()
	var parent digest.Digest
	parentGraph := ""
	if len(below) > 0 {
		parent = below[len(below)-1]
		s.mu.Lock()
		parentGraph = s.layers[parent].rec.GraphID
		s.mu.Unlock()
	}
	graphID := s.newGraphID(layerPrefix, "")
	if err := s.Graph.Create(ctx, graphID, parentGraph); err != nil {
		return "", lease, err
	}
	owned := true // by this call; a flight takes it over
	defer func() {
		if owned {
			s.removeGraph(graphID)
		}
	}()
	end := &tail{}
	a, err := s.apply(ctx, graphID, tar, end)
	if err != nil {
		return "", lease, err
	}
	if !end.marked() {
		a.kept.discard()
		return "", lease, fmt.Errorf("%w: its end mark is missing", archive.ErrTruncated)
	}
	if a.whole != "" {
		// Nobody knows its digest yet, and the stream is gone: the layer becomes
		// what the tar has made.
		if a.diffID, a.kept, err = s.canonical(ctx, graphID); err != nil {
			return "", lease, err
		}
	}
	diffID = a.diffID
	chain := chainID(parent, diffID)
	fl := &flight{
		chain: chain, diffID: diffID, graphID: graphID, users: 1, size: a.size, kept: a.kept,
		created: make(chan struct{}), done: make(chan struct{}),
	}
	close(fl.created)
	have, err := s.board(ctx, fl)
	if have || err != nil {
		fl.kept.discard()
	}
	if err != nil {
		return "", lease, err
	}
	if !have {
		owned = false
		st := &step{chain: chain, flight: fl, mine: true, parent: parent}
		if err := s.syncAndPublish(ctx, st); err != nil {
			s.fail(fl, err)
			return "", lease, err
		}
	}
	lease.chain = append(lease.chain, chain)
	return diffID, lease, nil
}

// board enters a filled flight into the table, once nobody else has the same
// layer in the making. have says that it is published, and leased now.
func (s *Store) board(ctx context.Context, fl *flight) (have bool, err error) {
	for {
		s.mu.Lock()
		if l := s.layers[fl.chain]; l != nil && l.damage == nil {
			l.leases++
			s.mu.Unlock()
			return true, nil
		}
		other := s.flights[fl.chain]
		if other == nil {
			s.flights[fl.chain] = fl
			s.mu.Unlock()
			return false, nil
		}
		s.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

func (s *Store) syncAndPublish(ctx context.Context, st *step) error {
	if err := s.sync(ctx, st.flight); err != nil {
		return err
	}
	return s.publishLayer(st)
}

// canonical gives the digest and the kept form of the tar that the graph driver
// makes of a layer.
func (s *Store) canonical(ctx context.Context, graphID string) (digest.Digest, *kept, error) {
	tar, err := s.Graph.Diff(ctx, graphID)
	if err != nil {
		return "", nil, err
	}
	defer tar.Close()
	x, err := s.beginIndex()
	if err != nil {
		return "", nil, err
	}
	digester := digest.SHA256.Digester()
	if _, err := io.Copy(io.MultiWriter(x, digester.Hash()), tar); err != nil {
		x.abandon()
		return "", nil, err
	}
	k, whole, err := x.finish()
	if err == nil && whole != "" {
		err = fmt.Errorf("the tar that the graph driver makes cannot be kept: %s", whole)
	}
	return digester.Digest(), k, err
}

func (s *Store) leaseChain(chain []digest.Digest) (*Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range chain {
		if l := s.layers[c]; l == nil || l.damage != nil {
			return nil, fmt.Errorf("layer %s is not there", c)
		}
	}
	for _, c := range chain {
		s.layers[c].leases++
	}
	return &Lease{store: s, chain: append([]digest.Digest(nil), chain...)}, nil
}

// tail remembers how a tar ends. There is no digest to tell that a stream was
// cut off between two entries; that the last block is not zeros does.
type tail struct {
	length int64
	zeros  int64 // how many bytes at the end are zeros
}

const blockSize = 512

func (t *tail) Write(p []byte) (int, error) {
	t.length += int64(len(p))
	trimmed := bytes.TrimRight(p, "\x00")
	if len(trimmed) > 0 {
		t.zeros = 0
	}
	t.zeros += int64(len(p) - len(trimmed))
	return len(p), nil
}

func (t *tail) marked() bool { return t.length == 0 || t.zeros >= blockSize }
