package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// policy is the folder that says what is welcome. A folder that is not there
// welcomes nothing.
type policy struct{ dir string }

// verify is the job image_verify. It is asked with the digest of what the
// reference stands for, which may be an index; whoever signs an index has signed
// all of its images.
func (p policy) verify(_ context.Context, _ *engine.Job, in jobs.ImageVerifyIn) (jobs.ImageVerifyOut, error) {
	none := jobs.ImageVerifyOut{}
	// The tag is not signed: tags move, and what a name stands for is the digest's to say.
	repository, _, _ := strings.Cut(in.Reference, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository = repository[:i]
	}
	_, hex, ok := strings.Cut(in.Digest, ":")
	if !ok || hex == "" || strings.ContainsAny(hex, "/.") {
		return none, fmt.Errorf("%q is no digest: %w", in.Digest, errdefs.ErrInvalidArgument)
	}
	text := repository + "@" + in.Digest
	if listed, err := p.lists(text); listed || err != nil {
		return none, err
	}
	signature, err := os.ReadFile(filepath.Join(p.dir, "signatures", hex+".sig"))
	if errors.Is(err, fs.ErrNotExist) {
		return none, fmt.Errorf("nobody has signed %s: %w", text, errdefs.ErrPermissionDenied)
	}
	if err != nil {
		return none, err
	}
	keys, err := p.keys()
	if err != nil {
		return none, err
	}
	for _, key := range keys {
		if ed25519.Verify(key, []byte(text), signature) {
			return none, nil
		}
	}
	return none, fmt.Errorf("nobody who is trusted has signed %s: %w", text, errdefs.ErrPermissionDenied)
}

// lists tells whether the owner has listed an image.
func (p policy) lists(text string) (bool, error) {
	file, err := os.Open(filepath.Join(p.dir, "allowed"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if strings.TrimSpace(line) == text {
			return true, nil
		}
	}
	return false, lines.Err()
}

// keys reads whom to trust. A file that is no key is an error: to pass it over
// would hide a mistake.
func (p policy) keys() ([]ed25519.PublicKey, error) {
	files, err := filepath.Glob(filepath.Join(p.dir, "keys", "*.pub"))
	if err != nil {
		return nil, err
	}
	var keys []ed25519.PublicKey
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(data)
		if block == nil {
			return nil, fmt.Errorf("%s is no key in PEM", name)
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		public, ok := key.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("%s is no Ed25519 key", name)
		}
		keys = append(keys, public)
	}
	return keys, nil
}
