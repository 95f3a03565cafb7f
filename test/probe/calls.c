// Verdicts of system calls. Every call is made in a child of its own, so that
// one that succeeds changes nothing for the next. The arguments are chosen so
// that a call that should be refused does no harm to the host if it is not.
#include "probe.h"
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

// Numbers that the C library of 2022 has no names for.
enum {
	NR_cachestat = 451, NR_fchmodat2 = 452, NR_map_shadow_stack = 453, NR_futex_wake = 454, NR_statmount = 457, NR_listmount = 458,
	NR_lsm_get_self_attr = 459, NR_lsm_set_self_attr = 460, NR_lsm_list_modules = 461, NR_mseal = 462, NR_setxattrat = 463,
	NR_open_tree_attr = 467, NR_file_getattr = 468, NR_unassigned = 511, NR_far = 100000,
	NR_x32 = 0x40000000,
};

static char buffer[4096];
static struct { unsigned bytes; int type; unsigned char handle[128]; } handle = {.bytes = 128};

struct call { const char *name; long nr, a, b, c, d, e, f; };

#define P(x) ((long)(x))

static const struct call table[] = {
	// Keys are not in a namespace.
	{"add_key", SYS_add_key, P("user"), P("probe"), P("x"), 1, KEY_SPEC_PROCESS_KEYRING},
	{"keyctl", SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0},
	{"request_key", SYS_request_key, P("user"), P("probe"), 0, 0},
	// Large surfaces of the kernel.
	{"bpf", SYS_bpf, 0, P(buffer), 64},
	{"perf_event_open", SYS_perf_event_open, P(buffer), 0, -1, -1, 0},
	{"userfaultfd", SYS_userfaultfd, 1},
	{"io_uring_setup", SYS_io_uring_setup, 1, P(buffer)},
	{"io_uring_enter", SYS_io_uring_enter, -1, 0, 0, 0, 0, 0},
	{"io_uring_register", SYS_io_uring_register, -1, 0, 0, 0},
	// Namespaces and mounts.
	{"unshare(NEWUSER)", SYS_unshare, CLONE_NEWUSER},
	{"unshare(NEWNET)", SYS_unshare, CLONE_NEWNET},
	{"unshare(NEWNS)", SYS_unshare, CLONE_NEWNS},
	{"unshare(NEWCGROUP)", SYS_unshare, CLONE_NEWCGROUP},
	{"unshare(FILES)", SYS_unshare, CLONE_FILES},
	{"clone(NEWUSER)", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0},
	{"clone(NEWNS)", SYS_clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0},
	{"clone3", SYS_clone3, P(buffer), 0},
	{"setns", SYS_setns, -1, 0},
	{"mount", SYS_mount, P("none"), P("/tmp"), P("tmpfs"), 0, 0},
	{"umount2", SYS_umount2, P("/proc"), MNT_DETACH},
	{"pivot_root", SYS_pivot_root, P("/"), P("/")},
	{"fsopen", SYS_fsopen, P("tmpfs"), 0},
	{"fsconfig", SYS_fsconfig, -1, 0, 0, 0, 0},
	{"fsmount", SYS_fsmount, -1, 0, 0},
	{"fspick", SYS_fspick, AT_FDCWD, P("/"), 0},
	{"open_tree", SYS_open_tree, AT_FDCWD, P("/"), 0},
	{"open_tree(CLONE)", SYS_open_tree, AT_FDCWD, P("/"), 1},
	{"open_tree_attr", NR_open_tree_attr, AT_FDCWD, P("/"), 0, 0, 0},
	{"move_mount", SYS_move_mount, AT_FDCWD, P("/"), AT_FDCWD, P("/tmp"), 0},
	{"mount_setattr", SYS_mount_setattr, AT_FDCWD, P("/"), 0, P(buffer), 32},
	{"chroot", SYS_chroot, P("/")},
	// Handles: the "shocker" of 2014 read the host's files with them.
	{"name_to_handle_at", SYS_name_to_handle_at, AT_FDCWD, P("/dev"), P(&handle), P(buffer), 0},
	{"open_by_handle_at", SYS_open_by_handle_at, 1, P(&handle), O_RDONLY},
	// The machine itself.
	{"kexec_load", SYS_kexec_load, 0, 0, 0, 0xffff0000},
	{"kexec_file_load", SYS_kexec_file_load, -1, -1, 0, 0, 0},
	{"init_module", SYS_init_module, 0, 0, P("")},
	{"finit_module", SYS_finit_module, -1, P(""), 0},
	{"delete_module", SYS_delete_module, P("nonexistent"), O_NONBLOCK},
	{"reboot", SYS_reboot, 0, 0, 0, 0},
	{"swapon", SYS_swapon, P("/nonexistent"), 0},
	{"swapoff", SYS_swapoff, P("/nonexistent")},
	{"acct", SYS_acct, P("/nonexistent")},
	{"settimeofday", SYS_settimeofday, 0, P(buffer)},
	{"clock_settime", SYS_clock_settime, 1, P(buffer)},
	{"adjtimex(read)", SYS_adjtimex, P(buffer)},
	{"quotactl", SYS_quotactl, 0x800001 << 8, 0, 0, 0},
	{"quotactl_fd", SYS_quotactl_fd, -1, 0, 0, 0},
	{"syslog", SYS_syslog, 3, P(buffer), 100},
	{"iopl", SYS_iopl, 3},
	{"ioperm", SYS_ioperm, 0x80, 1, 1},
	{"sethostname", SYS_sethostname, P("x"), 1},
	{"setdomainname", SYS_setdomainname, P("x"), 1},
	{"vhangup", SYS_vhangup},
	{"fanotify_init", SYS_fanotify_init, 0, 0},
	{"lookup_dcookie", SYS_lookup_dcookie, 0, P(buffer), 100},
	{"nfsservctl", SYS_nfsservctl, 0, 0, 0},
	{"uselib", SYS_uselib, P("/nonexistent")},
	{"ustat", SYS_ustat, 0, P(buffer)},
	{"sysfs", SYS_sysfs, 3},
	// Other processes, and where memory lies.
	{"personality(ADDR_NO_RANDOMIZE)", SYS_personality, ADDR_NO_RANDOMIZE},
	{"personality(0)", SYS_personality, 0},
	{"kcmp", SYS_kcmp, 1, 1, 0, 0, 0},
	{"process_vm_readv", SYS_process_vm_readv, 1, 0, 0, 0, 0, 0},
	{"process_vm_writev", SYS_process_vm_writev, 1, 0, 0, 0, 0, 0},
	{"process_madvise", SYS_process_madvise, -1, 0, 0, 0, 0},
	{"pidfd_open", SYS_pidfd_open, 1, 0},
	{"pidfd_getfd", SYS_pidfd_getfd, -1, 0, 0},
	{"ptrace(TRACEME)", SYS_ptrace, PTRACE_TRACEME, 0, 0, 0},
	{"get_mempolicy", SYS_get_mempolicy, 0, 0, 0, 0, 0},
	{"set_mempolicy", SYS_set_mempolicy, 0, 0, 0},
	{"mbind", SYS_mbind, 0, 0, 0, 0, 0, 0},
	{"move_pages", SYS_move_pages, 0, 0, 0, 0, 0, 0},
	{"migrate_pages", SYS_migrate_pages, 0, 0, 0, 0},
	{"modify_ldt", SYS_modify_ldt, 0, P(buffer), 16},
	// Sockets.
	{"socket(AF_UNIX)", SYS_socket, AF_UNIX, SOCK_STREAM, 0},
	{"socket(AF_INET)", SYS_socket, AF_INET, SOCK_DGRAM, 0},
	{"socket(AF_NETLINK)", SYS_socket, AF_NETLINK, SOCK_RAW, 0},
	{"socket(AF_INET,raw)", SYS_socket, AF_INET, SOCK_RAW, 1},
	{"socket(AF_INET,ping)", SYS_socket, AF_INET, SOCK_DGRAM, 1},
	{"socket(AF_PACKET)", SYS_socket, AF_PACKET, SOCK_RAW, 0},
	{"socket(AF_ALG)", SYS_socket, AF_ALG, SOCK_SEQPACKET, 0},
	{"socket(AF_VSOCK)", SYS_socket, AF_VSOCK, SOCK_STREAM, 0},
	{"socket(AF_ALG+2^32)", SYS_socket, (1L << 32) | AF_ALG, SOCK_SEQPACKET, 0},
	{"socket(AF_VSOCK-2^32)", SYS_socket, -(1L << 32) | AF_VSOCK, SOCK_STREAM, 0},
	// New and harmless, or new and unknown: the C library falls back on ENOSYS.
	{"landlock_create_ruleset", SYS_landlock_create_ruleset, 0, 0, 1},
	{"memfd_create", SYS_memfd_create, P("probe"), 0},
	{"memfd_secret", 447, 0},
	{"cachestat", NR_cachestat, -1, P(buffer), P(buffer), 0},
	{"fchmodat2", NR_fchmodat2, AT_FDCWD, P("/nonexistent"), 0600, 0},
	{"map_shadow_stack", NR_map_shadow_stack, 0, 0, 0},
	{"futex_wake", NR_futex_wake, P(buffer), 1, 0, 2},
	{"statmount", NR_statmount, P(buffer), P(buffer), 0, 0},
	{"listmount", NR_listmount, P(buffer), P(buffer), 0, 0},
	{"lsm_get_self_attr", NR_lsm_get_self_attr, 0, 0, 0, 0},
	{"lsm_set_self_attr", NR_lsm_set_self_attr, 0, 0, 0, 0},
	{"lsm_list_modules", NR_lsm_list_modules, 0, 0, 0},
	{"mseal", NR_mseal, 0, 0, 1},
	{"setxattrat", NR_setxattrat, AT_FDCWD, P("/nonexistent"), 0, P("user.x"), P(buffer), 16},
	{"file_getattr", NR_file_getattr, AT_FDCWD, P("/nonexistent"), P(buffer), 24, 0},
	{"number-511", NR_unassigned},
	{"number-100000", NR_far},
	// Numbers of x32 of the same calls.
	{"x32:getpid", NR_x32 | SYS_getpid},
	{"x32:keyctl", NR_x32 | SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0},
	{"x32:socket(AF_ALG)", NR_x32 | SYS_socket, AF_ALG, SOCK_SEQPACKET, 0},
	{"x32:clone3", NR_x32 | SYS_clone3, P(buffer), 0},
};

// inChild makes the call where it can do what it wants. A child that is killed
// has the name of its signal for a verdict.
static const char *inChild(const struct call *c, long (*make)(const struct call *)) {
	int ends[2], status, error = 0;
	if (pipe(ends)) return "?";
	pid_t child = fork();
	if (child == 0) {
		long ret = make(c);
		// A clone that was allowed has two returns; only the parent tells.
		if (ret == 0 && c->nr == SYS_clone) _exit(0);
		error = ret < 0 ? errno : 0;
		if (write(ends[1], &error, sizeof error) != sizeof error) _exit(1);
		_exit(0);
	}
	close(ends[1]);
	ssize_t got = read(ends[0], &error, sizeof error);
	close(ends[0]);
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status) && got != sizeof error) {
		const char *name = sigabbrev_np(WTERMSIG(status));
		return name ? name : "killed";
	}
	errno = error;
	return result(error ? -1 : 0);
}

static long ordinary(const struct call *c) {
	if (strcmp(c->name, "open_by_handle_at") == 0) {
		// The handle is right, so that only permission can be wrong.
		int mount, fd = open("/dev", O_RDONLY | O_DIRECTORY);
		syscall(SYS_name_to_handle_at, AT_FDCWD, "/dev", &handle, &mount, 0);
		return syscall(c->nr, fd, c->b, c->c);
	}
	return syscall(c->nr, c->a, c->b, c->c, c->d, c->e, c->f);
}

#ifdef __x86_64__
// i386's door into the same kernel, with i386's numbers. Pointers must be below
// 4 GiB, as all of a program without PIE are.
static long i386(const struct call *c) {
	long ret;
	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(c->nr), "b"(c->a), "c"(c->b), "d"(c->c), "S"(c->d), "D"(c->e)
	                 : "memory", "r8", "r9", "r10", "r11");
	int error = (int)ret;
	if (error < 0 && error > -4096) {
		errno = -error;
		return -1;
	}
	return 0;
}

static unsigned algArgs[3] = {AF_ALG, SOCK_SEQPACKET, 0}, unixArgs[3] = {AF_UNIX, SOCK_STREAM, 0};

static const struct call table32[] = {
	{"i386:getpid", 20},
	{"i386:keyctl", 288, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0},
	{"i386:unshare(NEWUSER)", 310, CLONE_NEWUSER},
	{"i386:mount", 21, P("none"), P("/tmp"), P("tmpfs"), 0, 0},
	{"i386:io_uring_setup", 425, 1, P(buffer)},
	{"i386:clone3", 435, P(buffer), 0},
	{"i386:socket(AF_ALG)", 359, AF_ALG, SOCK_SEQPACKET, 0},
	{"i386:socket(AF_VSOCK)", 359, AF_VSOCK, SOCK_STREAM, 0},
	{"i386:socketcall(AF_ALG)", 102, 1, P(algArgs)},
	{"i386:socketcall(AF_UNIX)", 102, 1, P(unixArgs)},
};
#endif

// node makes a device node and opens it.
static void node(const char *name, mode_t kind, int major, int minor) {
	char what[64], path[] = "/tmp/probe-node";
	snprintf(what, sizeof what, "mknod:%s", name);
	unlink(path);
	int ret = mknod(path, kind | 0600, makedev(major, minor));
	verdict(what, result(ret));
	if (ret) return;
	snprintf(what, sizeof what, "open:%s", name);
	int fd = open(path, O_RDWR | O_NONBLOCK);
	verdict(what, result(fd));
	if (fd >= 0) close(fd);
	unlink(path);
}

void calls(void) {
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		memset(buffer, 0, sizeof buffer);
		verdict(table[i].name, inChild(&table[i], ordinary));
	}
#ifdef __x86_64__
	for (size_t i = 0; i < sizeof table32 / sizeof *table32; i++) {
		memset(buffer, 0, sizeof buffer);
		verdict(table32[i].name, inChild(&table32[i], i386));
	}
#endif
	node("null", S_IFCHR, 1, 3);
	node("mem", S_IFCHR, 1, 1);
	node("kmsg", S_IFCHR, 1, 11);
	node("fuse", S_IFCHR, 10, 229);
	node("tun", S_IFCHR, 10, 200);
	node("disk-254:0", S_IFBLK, 254, 0);
	node("loop0", S_IFBLK, 7, 0);
}
