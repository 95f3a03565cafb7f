// Signed is an engine of a third party: ours, but from registries it takes only
// images that somebody whom its owner trusts has signed, or that he has listed.
//
//	go build -o signed ./docs/examples/signed
//	SIGNED_POLICY=/etc/signed signed -d
//
// The policy is a folder that is read at each pull:
//
//	allowed            a REPOSITORY@DIGEST on each line, such as
//	                   docker.io/library/busybox@sha256:…; # begins a comment
//	keys/NAME.pub      whom to trust: public keys, Ed25519 in PEM
//	signatures/HEX.sig of the image with the digest sha256:HEX, over the text
//	                   REPOSITORY@DIGEST without a newline
//
// A key, and a signature by it:
//
//	openssl genpkey -algorithm ed25519 -out me.pem
//	openssl pkey -in me.pem -pubout -out keys/me.pub
//	printf %s docker.io/library/busybox@sha256:… >text
//	openssl pkeyutl -sign -inkey me.pem -rawin -in text -out signatures/HEX.sig
package main

import (
	"cmp"
	"os"

	"github.com/jobengine/engine/builtins"
	"github.com/jobengine/engine/client"
	"github.com/jobengine/engine/daemon"
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

func main() {
	p := policy{cmp.Or(os.Getenv("SIGNED_POLICY"), "/etc/signed")}
	set := builtins.Default()
	set.Jobs.Add("signed", func(eng *engine.Engine) { jobs.ImageVerify.Replace(eng, p.verify) })

	set.Role()
	if daemon.Wanted(os.Args[1:]) {
		os.Exit(daemon.Main(set, os.Args[1:]))
	}
	os.Exit(client.Main(os.Args[1:]))
}
