package reference

import (
	"fmt"
	"strings"
	"testing"

	theirs "github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"gotest.tools/v3/assert"
)

const sum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func samples() []string {
	long := strings.Repeat("a", 128)
	return []string{
		"", "busybox", "busybox:1.36", "busybox@" + sum, "busybox:1@" + sum, "a/b", "a/b/c:d", "library/busybox",
		"docker.io/busybox", "docker.io/library/x/y", "index.docker.io/a", "localhost/a", "localhost:5000/a:b", "EXAMPLE/a",
		"example.com/a", "example.com:5000/a/b:1", "[::1]:5000/a", "[::1]/a:b", "[::1]", "::1/a", "1.2.3.4/a", "a:5000", "a:5000/b",
		"Busybox", "busyBox:x", "a/Bc", "example.com/A", "a//b", "/a", "a/", "-a", "a-", "a--b", "a__b", "a___b", "a._b", "a..b", "a.b", "a_.b", ".a", "_a",
		"a:", "a:.b", "a:-b", "a:_b", "a:" + long, "a:" + long + "x", "a@", "a@sha256:", "a@sha256:abc", "a@" + strings.ToUpper(sum), "a@b@c",
		"a@md5:d41d8cd98f00b204e9800998ecf8427e", "a@x+y.z:d41d8cd98f00b204e9800998ecf8427e", "a@1x:d41d8cd98f00b204e9800998ecf8427e", "a@x-:d41d8cd98f00b204e9800998ecf8427e",
		sum, strings.TrimPrefix(sum, "sha256:"), "x" + strings.TrimPrefix(sum, "sha256:")[1:], "sha256:abc", "sha512:" + strings.Repeat("0", 128),
		strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("a/", 130) + "a", "ex_ample.com/a", "example.com-/a", "-example.com/a", "exa-mple.com:x/a", "example.com:/a",
		"[1::2]x/a", "[]/a", "[g]/a", "a b", "a:b c", "ä", "a:ä", "a\n", "a:b\n", "a@" + sum + "\n", "a:b:c", "a/b:c/d", "a:1/b:2", "a.b:1:2/c", "docker.io", "docker.io/", "library/", "index.docker.io/library/a:b",
	}
}

func FuzzAgainstTheOriginal(f *testing.F) {
	for _, s := range samples() {
		f.Add(s)
	}
	f.Fuzz(compare)
}

// compare holds every answer against the original's.
func compare(t *testing.T, s string) {
	mine, myErr := Parse(s)
	yours, yourErr := theirs.Parse(s)
	if d, ok := yours.(theirs.Digested); ok {
		if _, named := yours.(theirs.Named); !named {
			t.Fatalf("%q: the original gives a bare digest %v", s, d)
		}
	}
	assert.Equal(t, fmt.Sprint(myErr), fmt.Sprint(yourErr), "Parse(%q)", s)
	if myErr == nil {
		same(t, s, mine, yours.(theirs.Named))
	}
	named, myErr := ParseNormalizedNamed(s)
	otherNamed, yourErr := theirs.ParseNormalizedNamed(s)
	assert.Equal(t, fmt.Sprint(myErr), fmt.Sprint(yourErr), "ParseNormalizedNamed(%q)", s)
	if myErr == nil {
		same(t, s, named, otherNamed)
	}
	any, myErr := ParseAnyReference(s)
	otherAny, yourErr := theirs.ParseAnyReference(s)
	assert.Equal(t, fmt.Sprint(myErr), fmt.Sprint(yourErr), "ParseAnyReference(%q)", s)
	if myErr == nil {
		assert.Equal(t, any.String(), otherAny.String())
		assert.Equal(t, FamiliarString(any), theirs.FamiliarString(otherAny))
		_, isNamed := any.(Named)
		_, otherIsNamed := otherAny.(theirs.Named)
		assert.Equal(t, isNamed, otherIsNamed)
		_, isDigested := any.(Digested)
		_, otherIsDigested := otherAny.(theirs.Digested)
		assert.Equal(t, isDigested, otherIsDigested)
	}
}

func same(t *testing.T, s string, mine Named, yours theirs.Named) {
	t.Helper()
	assert.Equal(t, mine.String(), yours.String())
	assert.Equal(t, mine.Name(), yours.Name())
	assert.Equal(t, FamiliarName(mine), theirs.FamiliarName(yours), s)
	assert.Equal(t, FamiliarString(mine), theirs.FamiliarString(yours), s)
	assert.Equal(t, TrimNamed(mine).String(), theirs.TrimNamed(yours).String())
	assert.Equal(t, IsNameOnly(mine), theirs.IsNameOnly(yours))
	assert.Equal(t, TagNameOnly(mine).String(), theirs.TagNameOnly(yours).String())
	_, tagged := mine.(Tagged)
	_, yoursTagged := yours.(theirs.Tagged)
	assert.Equal(t, tagged, yoursTagged)
	_, digested := mine.(Digested)
	_, yoursDigested := yours.(theirs.Digested)
	assert.Equal(t, digested, yoursDigested)
	for _, tag := range []string{"x", "-x", ""} {
		a, errA := WithTag(mine, tag)
		b, errB := theirs.WithTag(yours, tag)
		assert.Equal(t, fmt.Sprint(a, errA), fmt.Sprint(b, errB))
	}
	for _, d := range []digest.Digest{sum, "x"} {
		a, errA := WithDigest(mine, d)
		b, errB := theirs.WithDigest(yours, d)
		assert.Equal(t, fmt.Sprint(a, errA), fmt.Sprint(b, errB))
	}
	for _, pattern := range []string{"busy*", "*/*", "a:b", "["} {
		a, errA := FamiliarMatch(pattern, mine)
		b, errB := theirs.FamiliarMatch(pattern, yours)
		assert.Equal(t, fmt.Sprint(a, errA), fmt.Sprint(b, errB))
	}
}

func TestSamplesAgainstTheOriginal(t *testing.T) {
	for _, s := range samples() {
		compare(t, s)
	}
}
