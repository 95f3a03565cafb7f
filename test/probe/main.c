// The probe is run inside a container and prints a table of what the kernel
// lets it do there: RELIABILITY §3.3. One line is "WHAT VERDICT"; a verdict is
// allowed, or the name of the error. An error other than EPERM and ENOSYS means
// that the call reached the kernel's own checks.
//
//   probe            the table
//   probe files      the part of it that concerns paths
//   probe self       the part of it that concerns the process itself
//   probe wait       does nothing for ever
//   probe race A B   exchanges two names for ever
//   probe spy FILE   looks for ever at each new process for what it gives away,
//                    among it FILE, which is one of the host
//
// It is one static program so that it runs in an empty image.
#include "probe.h"

void verdict(const char *what, const char *result) {
	printf("%s %s\n", what, result);
	fflush(stdout); // before a child inherits the buffer
}

const char *result(long ret) {
	const char *name = ret >= 0 ? "allowed" : strerrorname_np(errno);
	return name ? name : "?";
}

int main(int argc, char **argv) {
	if (argc > 1 && strcmp(argv[1], "wait") == 0)
		for (;;) pause();
	if (argc > 3 && strcmp(argv[1], "race") == 0) return race(argv[2], argv[3]);
	if (argc > 2 && strcmp(argv[1], "spy") == 0) return spy(argv[2]);
	// On a host as root the calls would succeed, and some of them do harm.
	char self[16] = "";
	if (readlink("/proc/self/exe", self, sizeof self - 1) < 0 || strcmp(self, "/probe")) {
		fputs("the table is made inside a container only, by a program named /probe\n", stderr);
		return 2;
	}
	const char *part = argc > 1 ? argv[1] : "";
	if (strcmp(part, "files")) process();
	if (!*part) calls();
	if (strcmp(part, "self")) files();
	return 0;
}
