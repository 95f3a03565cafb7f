// What the process itself is: identity, capabilities, limits, descriptors.
#include "probe.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const char *fields[] = {"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
                               "Seccomp_filters", "SigBlk", "SigIgn", "Umask", "TracerPid"};

// word makes one word of a text in place: blanks become commas.
static void word(char *text) {
	char *out = text;
	for (char *in = text; *in; in++)
		if (!strchr(" \t\n", *in)) *out++ = *in;
		else if (out > text && out[-1] != ',') *out++ = ',';
	if (out > text && out[-1] == ',') out--;
	*out = 0;
}

static void status(void) {
	char line[4096], what[64];
	FILE *f = fopen("/proc/self/status", "r");
	if (!f) {
		verdict("status", result(-1));
		return;
	}
	while (fgets(line, sizeof line, f)) {
		char *value = strchr(line, ':');
		if (!value) continue;
		*value++ = 0;
		for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
			if (strcmp(line, fields[i])) continue;
			word(value);
			snprintf(what, sizeof what, "status:%.40s", line);
			verdict(what, *value ? value : "none");
		}
	}
	fclose(f);
}

static void descriptors(void) {
	char open_[256] = "";
	DIR *dir = opendir("/proc/self/fd");
	if (!dir) {
		verdict("descriptors", result(-1));
		return;
	}
	for (int fd = 0; fd < 4096; fd++) // in order, unlike the folder
		if (fd != dirfd(dir) && fcntl(fd, F_GETFD) >= 0 && strlen(open_) < sizeof open_ - 8)
			sprintf(open_ + strlen(open_), "%s%d", *open_ ? "," : "", fd);
	closedir(dir);
	verdict("descriptors", open_);
}

static void same(const char *what, const char *a, const char *b) {
	struct stat x, y;
	if (stat(a, &x) || stat(b, &y)) {
		verdict(what, result(-1));
		return;
	}
	verdict(what, x.st_dev == y.st_dev && x.st_ino == y.st_ino ? "same" : "different");
}

static void limit(const char *what, int which) {
	struct rlimit l;
	char text[64];
	if (getrlimit(which, &l)) {
		verdict(what, result(-1));
		return;
	}
	snprintf(text, sizeof text, "%lld", (long long)l.rlim_cur);
	verdict(what, text);
}

static void line(const char *what, const char *path) {
	char text[128] = "";
	FILE *f = fopen(path, "r");
	if (!f) {
		verdict(what, result(-1));
		return;
	}
	if (!fgets(text, sizeof text, f)) strcpy(text, "none");
	fclose(f);
	word(text);
	verdict(what, text);
}

void process(void) {
	status();
	descriptors();
	same("cwd-is-root", "/proc/self/cwd", "/");
	limit("limit:nofile", RLIMIT_NOFILE);
	limit("limit:core", RLIMIT_CORE);
	line("oom_score_adj", "/proc/self/oom_score_adj");
	line("uid_map", "/proc/self/uid_map");
	line("sysctl:ip_unprivileged_port_start", "/proc/sys/net/ipv4/ip_unprivileged_port_start");
	line("sysctl:ping_group_range", "/proc/sys/net/ipv4/ping_group_range");
	verdict("dumpable", prctl(PR_GET_DUMPABLE) == 1 ? "yes" : "no");
	verdict("parent-death-signal", ({ int s = 0; prctl(PR_GET_PDEATHSIG, &s); s; }) ? "set" : "none");
}
