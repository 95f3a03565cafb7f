// ticker counts: it prints 0, 1, 2 … a line each, every so many microseconds, or
// as fast as it can with 0.
//
//	ticker MICROSECONDS CODE [deaf]
//
// It ends with CODE when there is a file /stop, or on SIGTERM unless it is deaf.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t asked;

static void ask(int sig) {
	(void)sig;
	asked = 1;
}

int main(int argc, char **argv) {
	if (argc < 3)
		return 64;
	long pause = atol(argv[1]);
	int deaf = argc > 3 && strcmp(argv[3], "deaf") == 0;
	struct sigaction a = {.sa_handler = deaf ? SIG_IGN : ask};
	sigaction(SIGTERM, &a, NULL);
	for (long n = 0;; n++) {
		if ((pause > 0 || n % 256 == 0) && (asked || access("/stop", F_OK) == 0))
			return atoi(argv[2]);
		char line[32];
		int len = snprintf(line, sizeof line, "%ld\n", n);
		for (int at = 0; at < len;) {
			ssize_t wrote = write(1, line + at, len - at);
			if (wrote < 0)
				return 65;
			at += wrote;
		}
		if (pause > 0)
			usleep(pause);
	}
}
