package seccomp

/*
#include <stdlib.h>
#include <seccomp.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// ScmpArch is a processor architecture.
type ScmpArch uint

// The architectures.
const (
	ArchInvalid ScmpArch = iota
	ArchNative
	ArchX86
	ArchAMD64
	ArchX32
	ArchARM
	ArchARM64
	ArchMIPS
	ArchMIPS64
	ArchMIPS64N32
	ArchMIPSEL
	ArchMIPSEL64
	ArchMIPSEL64N32
	ArchPPC
	ArchPPC64
	ArchPPC64LE
	ArchS390
	ArchS390X
	ArchPARISC
	ArchPARISC64
	ArchRISCV64
	ArchLOONGARCH64
	ArchM68K
	ArchSH
	ArchSHEB
)

// archNames has libseccomp's name of each architecture.
var archNames = [...]string{
	ArchX86: "x86", ArchAMD64: "x86_64", ArchX32: "x32", ArchARM: "arm", ArchARM64: "aarch64",
	ArchMIPS: "mips", ArchMIPS64: "mips64", ArchMIPS64N32: "mips64n32",
	ArchMIPSEL: "mipsel", ArchMIPSEL64: "mipsel64", ArchMIPSEL64N32: "mipsel64n32",
	ArchPPC: "ppc", ArchPPC64: "ppc64", ArchPPC64LE: "ppc64le", ArchS390: "s390", ArchS390X: "s390x",
	ArchPARISC: "parisc", ArchPARISC64: "parisc64", ArchRISCV64: "riscv64",
	ArchLOONGARCH64: "loongarch64", ArchM68K: "m68k", ArchSH: "sh", ArchSHEB: "sheb",
}

// GetArchFromString finds an architecture by the names that Go and libseccomp have for it.
func GetArchFromString(name string) (ScmpArch, error) {
	switch name {
	case "amd64":
		return ArchAMD64, nil
	case "arm64":
		return ArchARM64, nil
	}
	for arch, known := range archNames {
		if known != "" && known == name {
			return ScmpArch(arch), nil
		}
	}
	return ArchInvalid, fmt.Errorf("seccomp: unknown architecture %q", name)
}

// GetNativeArch is the architecture that this program runs on.
func GetNativeArch() (ScmpArch, error) {
	native := C.seccomp_arch_native()
	for arch := ArchX86; int(arch) < len(archNames); arch++ {
		if token, err := arch.native(); err == nil && token == native {
			return arch, nil
		}
	}
	return ArchInvalid, errors.New("seccomp: unknown native architecture")
}

// native is libseccomp's token of an architecture; an older libseccomp does not have all.
func (a ScmpArch) native() (C.uint32_t, error) {
	if a == ArchNative {
		return C.seccomp_arch_native(), nil
	}
	if int(a) >= len(archNames) || archNames[a] == "" {
		return 0, fmt.Errorf("seccomp: invalid architecture %d", a)
	}
	name := C.CString(archNames[a])
	defer C.free(unsafe.Pointer(name))
	token := C.seccomp_arch_resolve_name(name)
	if token == 0 {
		return 0, fmt.Errorf("seccomp: this libseccomp does not know the architecture %s", archNames[a])
	}
	return token, nil
}
