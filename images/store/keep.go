package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/images/tarsplit"
	"github.com/jobengine/engine/internal/archive"
	"github.com/jobengine/engine/internal/durable"
	"github.com/jobengine/engine/internal/errs"
)

// The forms in which the tar of a layer is kept beside its record.
const (
	formIndex = "index" // headers and padding; the contents are the layer's files
	formWhole = "whole" // all of it, compressed: a tar that its files cannot give back
)

// tarFile is where a layer's folder has it.
func tarFile(form string) string { return "tar." + form }

// kept is the kept form of a tar while it is no layer's yet.
type kept struct {
	fs    durable.FS
	file  durable.File // nil for a tar that is not kept
	path  string
	form  string
	bytes int64 // of the tar
}

func (s *Store) newKept(form string) (*kept, error) {
	path := durable.TempName(s.TempDir())
	file, err := s.FS.Create(path, 0o600)
	if err != nil {
		return nil, err
	}
	return &kept{fs: s.FS, file: file, path: path, form: form}, nil
}

// seal makes the content durable.
func (k *kept) seal() error {
	if k == nil || k.file == nil {
		return nil
	}
	file := k.file
	k.file = nil
	return errors.Join(file.Sync(), file.Close())
}

// discard removes it.
func (k *kept) discard() {
	if k == nil || k.path == "" {
		return
	}
	if k.file != nil {
		k.file.Close()
	}
	_ = k.fs.Remove(k.path) // or Open does
	k.file, k.path = nil, ""
}

// indexing makes the index of a tar that is written to it, in a goroutine of its own.
type indexing struct {
	*io.PipeWriter
	kept    *kept
	done    chan struct{}
	summary tarsplit.Summary // valid once done is closed, like err
	err     error
}

func (s *Store) beginIndex() (*indexing, error) {
	k, err := s.newKept(formIndex)
	if err != nil {
		return nil, err
	}
	pr, pw := io.Pipe()
	x := &indexing{PipeWriter: pw, kept: k, done: make(chan struct{})}
	go func() {
		defer close(x.done)
		x.summary, x.err = tarsplit.Split(k.file, pr)
		pr.CloseWithError(x.err) // nobody writes any more, unless it failed
	}()
	return x, nil
}

// errAbandoned ends an index that nobody wants.
var errAbandoned = errors.New("abandoned")

// abandon ends it and removes what there is. Nobody writes any more.
func (x *indexing) abandon() {
	x.CloseWithError(errAbandoned)
	<-x.done
	x.kept.discard()
}

// finish gives the kept form of the tar that was written; whole, if not "", says
// why there is none: the tar is to be kept whole.
func (x *indexing) finish() (k *kept, whole string, err error) {
	x.Close()
	<-x.done
	switch {
	case x.err != nil:
		x.kept.discard()
		return nil, "", x.err
	case x.summary.Whole != "":
		x.kept.discard()
		return nil, x.summary.Whole, nil
	}
	x.kept.bytes = x.summary.Bytes
	return x.kept, "", nil
}

// keepWhole compresses the tar, which must have the digest.
func (s *Store) keepWhole(tar io.Reader, want digest.Digest) (_ *kept, err error) {
	k, err := s.newKept(formWhole)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			k.discard()
		}
	}()
	plain, _, err := archive.Decompress(tar)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	z, err := zstd.NewWriter(k.file, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	verifier := want.Verifier()
	k.bytes, err = io.Copy(io.MultiWriter(z, verifier), archive.LimitReader(plain, s.MaxLayerBytes))
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, err
	}
	if !verifier.Verified() {
		return nil, errs.Invalid("layer %s is not the same at a second look", want)
	}
	return k, nil
}

// keepFrom keeps the form of a tar whose layer is there already. It may be the
// layer's: its digest is compared.
func (s *Store) keepFrom(open func() (io.ReadCloser, error), want digest.Digest) (*kept, error) {
	k, whole, err := s.indexFrom(open, want)
	if err != nil || whole == "" {
		return k, err
	}
	tar, err := open()
	if err != nil {
		return nil, err
	}
	defer tar.Close()
	return s.keepWhole(tar, want)
}

func (s *Store) indexFrom(open func() (io.ReadCloser, error), want digest.Digest) (_ *kept, whole string, err error) {
	tar, err := open()
	if err != nil {
		return nil, "", err
	}
	defer tar.Close()
	plain, _, err := archive.Decompress(tar)
	if err != nil {
		return nil, "", err
	}
	defer plain.Close()
	x, err := s.beginIndex()
	if err != nil {
		return nil, "", err
	}
	verifier := want.Verifier()
	_, err = io.Copy(io.MultiWriter(x, verifier), archive.LimitReader(plain, s.MaxLayerBytes))
	if err == nil && !verifier.Verified() {
		err = errs.DataLoss("the tar does not have the digest %s", want)
	}
	if err != nil {
		x.abandon()
		return nil, "", err
	}
	return x.finish()
}

// attach gives a layer that is listed the kept form of its tar.
func (s *Store) attach(chain digest.Digest, k *kept) (err error) {
	defer func() {
		if err != nil {
			k.discard()
		}
	}()
	if err := k.seal(); err != nil {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	l := s.layers[chain]
	if l == nil || l.damage != nil {
		s.mu.Unlock()
		return errs.NotFound("layer %s is not there", chain)
	}
	rec := l.rec
	s.mu.Unlock()
	dir := s.layerDir(chain)
	if err := s.FS.Rename(k.path, filepath.Join(dir, tarFile(k.form))); err != nil {
		return err
	}
	k.path = ""
	rec.Tar, rec.TarBytes = k.form, k.bytes
	if err := durable.WriteJSON(s.FS, filepath.Join(dir, "layer.json"), rec, 0o600); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.rec = rec
	return nil
}

// learn keeps the tar of a layer that came here before tars were kept, from the
// source that somebody brings along. That it fails is nobody's loss.
func (s *Store) learn(ctx context.Context, st *step) {
	k, err := s.keepFrom(func() (io.ReadCloser, error) { return st.source.Open(ctx) }, st.source.DiffID)
	if err == nil {
		err = s.attach(st.chain, k)
	}
	if err != nil && ctx.Err() == nil {
		s.warn("images: layer %s stays without the form of its tar: %v", st.chain, err)
	}
}

// remake keeps the tar of such a layer as the graph driver writes it, if that is
// what it was.
func (s *Store) remake(ctx context.Context, chain digest.Digest, rec layerRecord) error {
	k, err := s.keepFrom(func() (io.ReadCloser, error) { return s.Graph.Diff(ctx, rec.GraphID) }, rec.DiffID)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errs.DataLoss("layer %s came without the form of its tar, and its files do not make the same tar again (%v): load an image that has it", rec.DiffID, err)
	}
	return s.attach(chain, k)
}

// applied is what a tar became.
type applied struct {
	size   int64         // of the files
	diffID digest.Digest // of the uncompressed tar
	kept   *kept         // nil if whole
	whole  string        // why its files cannot give it back, "" if they can
}

// apply fills a graph layer from a tar, compressed or not. The uncompressed tar
// also goes to w.
func (s *Store) apply(ctx context.Context, graphID string, tar io.Reader, w io.Writer) (a applied, err error) {
	plain, _, err := archive.Decompress(tar)
	if err != nil {
		return a, err
	}
	defer plain.Close()
	index, err := s.beginIndex()
	if err != nil {
		return a, err
	}
	defer func() {
		if err != nil {
			index.abandon()
		}
	}()
	digester := digest.SHA256.Digester()
	limited := archive.LimitReader(plain, s.MaxLayerBytes)
	// To decompress is half of the work; hashing and unpacking are the other.
	ahead := archive.ReadAhead(limited)
	defer ahead.Close() // before plain, which it reads from
	tee := io.TeeReader(ahead, io.MultiWriter(index, digester.Hash(), w))
	if a.size, err = s.Graph.ApplyDiff(ctx, graphID, tee); err != nil {
		return a, err
	}
	a.diffID = digester.Digest()
	a.kept, a.whole, err = index.finish()
	if err != nil {
		return a, fmt.Errorf("keep the form of the tar: %w", err)
	}
	return a, nil
}

// WriteTar writes the uncompressed tar of a layer that is leased, as it came. It
// has TarBytes. An error after some of it was written may be that the layer's
// files are not what they were: then it is data loss, and what was written is
// not to be used.
func (s *Store) WriteTar(ctx context.Context, w io.Writer, chain digest.Digest) error {
	rec, err := s.tarRecord(ctx, chain)
	if err != nil {
		return err
	}
	distrusted, err := s.writeTar(ctx, w, chain, rec)
	if distrusted {
		s.distrust(chain) // the next load keeps it anew
	}
	return err
}

// writeTar is WriteTar; unusable says that what was kept of the tar cannot make one.
func (s *Store) writeTar(ctx context.Context, w io.Writer, chain digest.Digest, rec layerRecord) (unusable bool, err error) {
	file, err := s.FS.Open(filepath.Join(s.layerDir(chain), tarFile(rec.Tar)))
	if err != nil {
		return false, errs.DataLoss("layer %s: the form of its tar: %v", rec.DiffID, err)
	}
	defer file.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pw.CloseWithError(s.readTar(ctx, pw, file, rec))
	}()
	defer func() {
		cancel()
		pr.Close()
		<-done
	}()
	verifier := rec.DiffID.Verifier()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(w, verifier)}, struct{ io.Reader }{pr}, make([]byte, tarBuffer))
	switch {
	case errdefs.IsDataLoss(err):
		return true, fmt.Errorf("layer %s: %w", rec.DiffID, err)
	case err != nil:
		return false, fmt.Errorf("layer %s: %w", rec.DiffID, err)
	case n != rec.TarBytes, !verifier.Verified():
		return false, errs.DataLoss("layer %s: its files are not what they were: they make another tar; remove the image and load it again", rec.DiffID)
	}
	return false, nil
}

// distrust has the kept form of a tar made again at the next occasion.
func (s *Store) distrust(chain digest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.layers[chain]; l != nil {
		l.rec.Tar = ""
	}
}

const tarBuffer = 256 << 10

// readTar makes the tar of a layer from its kept form.
func (s *Store) readTar(ctx context.Context, w io.Writer, file io.Reader, rec layerRecord) error {
	if rec.Tar == formWhole {
		z, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		if err != nil {
			return err
		}
		defer z.Close()
		_, err = z.WriteTo(w)
		return err
	}
	dir, release, err := s.files(ctx, rec.GraphID)
	if err != nil {
		return err
	}
	buffered := newWriter(w)
	err = tarsplit.Join(ctx, buffered, file, dir)
	if err == nil {
		err = buffered.Flush()
	}
	return errors.Join(err, release())
}

// TarBytes is the length of the tar that WriteTar writes. For a layer that came
// here before tars were kept this is the moment to make it again, or to fail.
func (s *Store) TarBytes(ctx context.Context, chain digest.Digest) (int64, error) {
	rec, err := s.tarRecord(ctx, chain)
	return rec.TarBytes, err
}

func (s *Store) tarRecord(ctx context.Context, chain digest.Digest) (layerRecord, error) {
	for range 2 {
		s.mu.Lock()
		l := s.layers[chain]
		if l == nil || l.damage != nil {
			s.mu.Unlock()
			return layerRecord{}, errs.DataLoss("layer %s is missing or damaged: load the image again", chain)
		}
		rec := l.rec
		s.mu.Unlock()
		if rec.Tar != "" {
			return rec, nil
		}
		if err := s.remake(ctx, chain, rec); err != nil {
			return layerRecord{}, err
		}
	}
	return layerRecord{}, errs.DataLoss("layer %s has no form of its tar", chain)
}

// RawConfig is an image's config as it came.
func (s *Store) RawConfig(img *Image) ([]byte, error) {
	data, err := durable.Read(s.FS, filepath.Join(s.imageDir(img.ID), "config.json"))
	if err != nil {
		s.write.Lock() // a removal takes the files first
		gone := s.Snapshot().ByID(img.ID) != img
		s.write.Unlock()
		if gone {
			return nil, errs.NotFound("No such image: %s", img.ID)
		}
		return nil, errs.DataLoss("image %s: its config: %v", img.ID, err)
	}
	if digest.FromBytes(data) != img.ID {
		return nil, errs.DataLoss("image %s: its config is not what it was: load it again", img.ID)
	}
	return data, nil
}
