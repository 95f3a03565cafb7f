package seccomp

/*
#include <errno.h>
#include <stdlib.h>
#include <seccomp.h>

static int add_rule(scmp_filter_ctx ctx, uint32_t action, int call, unsigned int n, struct scmp_arg_cmp *args) {
	return seccomp_rule_add_array(ctx, action, call, n, args);
}

static void set_arg(struct scmp_arg_cmp *a, unsigned int arg, int op, uint64_t one, uint64_t two) {
	a->arg = arg;
	a->op = op;
	a->datum_a = one;
	a->datum_b = two;
}
*/
import "C"

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// comparisons are libseccomp's, by ours.
var comparisons = [...]C.int{
	CompareNotEqual: C.SCMP_CMP_NE, CompareLess: C.SCMP_CMP_LT, CompareLessOrEqual: C.SCMP_CMP_LE,
	CompareEqual: C.SCMP_CMP_EQ, CompareGreaterEqual: C.SCMP_CMP_GE, CompareGreater: C.SCMP_CMP_GT,
	CompareMaskedEqual: C.SCMP_CMP_MASKED_EQ,
}

// Compile has libseccomp compile the filter.
func (f *ScmpFilter) Compile() ([]byte, error) {
	action, err := f.action.native()
	if err != nil {
		return nil, err
	}
	ctx := C.seccomp_init(action)
	if ctx == nil {
		return nil, fmt.Errorf("seccomp: libseccomp refuses the default action %d", f.action)
	}
	defer C.seccomp_release(ctx)
	for _, arch := range f.archs {
		token, err := arch.native()
		if err != nil {
			return nil, err
		}
		if rc := C.seccomp_arch_add(ctx, token); rc != 0 && rc != -C.EEXIST {
			return nil, failed("add the architecture "+archNames[arch], rc)
		}
	}
	// Older versions of libseccomp do not have the attribute; the filter is right without it.
	_ = C.seccomp_attr_set(ctx, C.SCMP_FLTATR_CTL_OPTIMIZE, C.uint32_t(f.optimize))
	nnp := C.uint32_t(1)
	if f.noNNP {
		nnp = 0
	}
	if rc := C.seccomp_attr_set(ctx, C.SCMP_FLTATR_CTL_NNP, nnp); rc != 0 {
		return nil, failed("set no_new_privs", rc)
	}
	for _, r := range f.rules {
		if err := r.add(ctx); err != nil {
			return nil, err
		}
	}
	return export(ctx)
}

func (r rule) add(ctx C.scmp_filter_ctx) error {
	action, err := r.action.native()
	if err != nil {
		return err
	}
	var args [6]C.struct_scmp_arg_cmp
	if len(r.conditions) > len(args) {
		return fmt.Errorf("seccomp: %d conditions for one call", len(r.conditions))
	}
	for i, c := range r.conditions {
		C.set_arg(&args[i], C.uint(c.Argument), comparisons[c.Op], C.uint64_t(c.Operand1), C.uint64_t(c.Operand2))
	}
	rc := C.add_rule(ctx, action, C.int(r.call), C.uint(len(r.conditions)), &args[0])
	// A rule that is there already says nothing new.
	if rc != 0 && rc != -C.EEXIST {
		return failed(fmt.Sprintf("add a rule for call %d", r.call), rc)
	}
	return nil
}

func export(ctx C.scmp_filter_ctx) ([]byte, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	done := make(chan C.int, 1)
	go func() {
		defer w.Close()
		done <- C.seccomp_export_bpf(ctx, C.int(w.Fd()))
	}()
	bpf, err := io.ReadAll(r)
	if rc := <-done; rc != 0 {
		return nil, failed("compile the filter", rc)
	}
	return bpf, err
}

func failed(what string, rc C.int) error {
	return fmt.Errorf("seccomp: libseccomp cannot %s: %w", what, syscall.Errno(-rc))
}
