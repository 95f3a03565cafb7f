/*
 * The first process of a container that was started with --init. It starts the
 * program that its arguments name, hands every signal on to it, reaps whatever
 * process is left to it, and ends as the program ended: with its exit code, or
 * with 128+n after signal n.
 *
 *	docker-init -- PROGRAM [ARGUMENT...]
 *
 * It has no C library: so it is a few kilobytes large, runs in every root, and
 * touches a handful of pages (docs/adr/0015-own-init.md). What it needs of the
 * kernel is in the functions below whose names begin with sys_.
 */
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/prctl.h>
#include <linux/wait.h>

typedef unsigned long sigset;	/* the kernel's: a bit for each of 64 signals */

#define BIT(sig) (1UL << ((sig) - 1))

#if defined(__x86_64__)

/* The kernel leaves argc, argv and the environment on the stack. */
__asm__(".globl _start\n_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call begin\n");

static long sys(long n, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return r;
}

#elif defined(__aarch64__)

__asm__(".globl _start\n_start:\n"
	"	mov x29, xzr\n"
	"	mov x30, xzr\n"
	"	mov x0, sp\n"
	"	bl begin\n");

static long sys(long n, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}

#else
#error "this processor needs a _start and a sys of its own"
#endif

static long sys_write(int fd, const char *p, unsigned long n) { return sys(__NR_write, fd, (long)p, n, 0, 0); }
static int sys_getpid(void) { return sys(__NR_getpid, 0, 0, 0, 0, 0); }
static int sys_fork(void) { return sys(__NR_clone, SIGCHLD, 0, 0, 0, 0); }
static int sys_setpgid(int pid, int group) { return sys(__NR_setpgid, pid, group, 0, 0, 0); }
static int sys_kill(int pid, int sig) { return sys(__NR_kill, pid, sig, 0, 0, 0); }
static int sys_ioctl(int fd, long request, void *p) { return sys(__NR_ioctl, fd, request, (long)p, 0, 0); }
static int sys_subreaper(void) { return sys(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }
static int sys_wait(int *status) { return sys(__NR_wait4, -1, (long)status, WNOHANG, 0, 0); }
static int sys_sigwait(sigset *set) { return sys(__NR_rt_sigtimedwait, (long)set, 0, 0, sizeof *set, 0); }
static int sys_default(int sig)
{
	const long action[4] = {0}; /* handler SIG_DFL, flags, restorer, mask */

	return sys(__NR_rt_sigaction, sig, (long)action, 0, sizeof(sigset), 0);
}
static int sys_mask(int how, sigset *set, sigset *old)
{
	return sys(__NR_rt_sigprocmask, how, (long)set, (long)old, sizeof *set, 0);
}
static int sys_execve(const char *path, char **argv, char **envp)
{
	return sys(__NR_execve, (long)path, (long)argv, (long)envp, 0, 0);
}
static void sys_exit(int code)
{
	for (;;)
		sys(__NR_exit_group, code, 0, 0, 0, 0);
}

static unsigned long length(const char *s)
{
	unsigned long n = 0;

	while (s[n])
		n++;
	return n;
}

static const char *after(const char *text, const char *start)
{
	while (*start)
		if (*text++ != *start++)
			return 0;
	return text;
}

static int has_slash(const char *s)
{
	for (; *s; s++)
		if (*s == '/')
			return 1;
	return 0;
}

static void say(const char *text) { sys_write(2, text, length(text)); }

static void say_number(unsigned int n)
{
	char text[12], *p = text + sizeof text;

	*--p = 0;
	do
		*--p = '0' + n % 10;
	while (n /= 10);
	say(p);
}

static void fail(const char *doing, const char *what, int error, int code)
{
	const char *why = 0;

	switch (error) {
	case ENOENT: why = "No such file or directory"; break;
	case EACCES: why = "Permission denied"; break;
	case EPERM: why = "Operation not permitted"; break;
	case ENOTDIR: why = "Not a directory"; break;
	case ELOOP: why = "Too many levels of symbolic links"; break;
	case ENAMETOOLONG: why = "File name too long"; break;
	case ENOEXEC: why = "Exec format error"; break;
	case E2BIG: why = "Argument list too long"; break;
	case ENOMEM: why = "Cannot allocate memory"; break;
	case EAGAIN: why = "Resource temporarily unavailable"; break;
	case ETXTBSY: why = "Text file busy"; break;
	}
	say("[FATAL docker-init (");
	say_number(sys_getpid());
	say(")] ");
	say(doing);
	say(what);
	say(" failed: ");
	if (why) {
		say(why);
	} else {
		say("error ");
		say_number(error);
	}
	say("\n");
	sys_exit(code);
}

/* Becomes a file; one that is no binary is a script for the shell, as execvp has it. */
static int exec_file(const char *path, int argc, char **argv, char **envp)
{
	int error = sys_execve(path, argv, envp);

	if (error == -ENOEXEC) {
		char *script[argc + 2];
		int i;

		script[0] = "/bin/sh";
		script[1] = (char *)path;
		for (i = 1; i <= argc; i++)
			script[i + 1] = argv[i];
		sys_execve(script[0], script, envp);
	}
	return error;
}

/* Becomes argv[0], which is looked up in PATH if it has no slash. Gives an error only. */
static int exec_program(int argc, char **argv, char **envp)
{
	const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	unsigned long name = length(argv[0]);
	int error = -ENOENT;
	char **e;

	if (has_slash(argv[0]))
		return exec_file(argv[0], argc, argv, envp);
	if (name == 0)
		return -ENOENT;
	for (e = envp; *e; e++) {
		const char *value = after(*e, "PATH=");

		if (value)
			path = value;
	}
	for (;;) {
		char file[4096];
		unsigned long n = 0, i;
		int e;

		while (path[n] && path[n] != ':')
			n++;
		if (n + name + 2 <= sizeof file) {
			for (i = 0; i < n; i++)
				file[i] = path[i];
			if (n > 0)
				file[n++] = '/';
			for (i = 0; i <= name; i++)
				file[n + i] = argv[0][i];
			e = exec_file(file, argc, argv, envp);
			if (e == -EACCES)
				error = e; /* there may be a better one behind it */
			else if (e != -ENOENT && e != -ENOTDIR && e != -ELOOP)
				return e;
		}
		while (*path && *path != ':')
			path++;
		if (!*path++)
			return error;
	}
}

static void run_child(int argc, char **argv, char **envp, sigset *mask)
{
	int group = sys_getpid(), error;

	/*
	 * A group of its own in the foreground, so that the terminal's signals
	 * reach it once and a shell can do job control. SIGTTOU is blocked still,
	 * or this would stop us. Without a terminal it fails, which is fine.
	 */
	if (sys_setpgid(0, 0) == 0)
		sys_ioctl(0, TIOCSPGRP, &group);
	sys_mask(SIG_SETMASK, mask, 0);
	error = -exec_program(argc, argv, envp);
	fail("exec ", argv[0], error, error == ENOENT ? 127 : 126);
}

__attribute__((used)) void begin(long *stack)
{
	int argc = stack[0], child, code = -1;
	char **argv = (char **)(stack + 1), **envp = argv + argc + 1;
	/* A fault of our own must end us, and not wait to be handed on. */
	sigset all = ~(BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGABRT) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGSEGV) | BIT(SIGSYS));
	sigset mask;

	argv++, argc--;
	if (argc > 0 && argv[0][0] == '-' && argv[0][1] == '-' && !argv[0][2])
		argv++, argc--;
	if (argc <= 0) {
		say("usage: docker-init -- PROGRAM [ARGUMENT...]\n");
		sys_exit(1);
	}
	/* In somebody else's pid namespace orphans would be left to its first process. */
	if (sys_getpid() != 1)
		sys_subreaper();
	sys_default(SIGCHLD); /* ignored, the kernel would reap for us and keep the exit codes */
	sys_mask(SIG_SETMASK, &all, &mask);
	child = sys_fork();
	if (child == 0)
		run_child(argc, argv, envp, &mask);
	if (child < 0)
		fail("fork", "", -child, 126);
	while (code < 0) {
		int sig = sys_sigwait(&all), pid, status;

		if (sig > 0 && sig != SIGCHLD)
			sys_kill(child, sig);
		/* Many ends may be one SIGCHLD. Orphans that ended before the program are reaped with it. */
		while ((pid = sys_wait(&status)) > 0)
			if (pid == child)
				code = (status & 0x7f) ? 128 + (status & 0x7f) : (status >> 8) & 0xff;
	}
	sys_exit(code);
}
