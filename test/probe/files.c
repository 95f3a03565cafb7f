// Verdicts of paths: what is masked, what is read-only, what is there at all.
#include "probe.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

// A masked file is the null device and a masked folder is empty.
static const char *masked[] = {
	"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
	"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/dev/block", "/sys/devices/virtual/powercap", "/sys/firmware",
	"/sys/fs/selinux", "/sys/devices/system/cpu/cpu0/thermal_throttle",
};

// Nothing is written to these: opening for writing is all that is tried.
static const char *readOnly[] = {
	"/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname",
	"/proc/sys/kernel/modprobe", "/proc/sys/kernel/shmmax", "/proc/sys/fs/mqueue/msg_max", "/proc/sys/net/ipv4/ip_forward",
	"/proc/sys/vm/overcommit_memory", "/proc/irq/default_smp_affinity", "/proc/bus/pci/devices", "/proc/kmsg",
	"/sys/power/state", "/sys/kernel/uevent_helper", "/sys/kernel/mm/transparent_hugepage/enabled",
	"/sys/module/kernel/parameters/panic", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/release_agent",
	"/sys/fs/cgroup/memory/cgroup.procs", "/sys/fs/cgroup/devices/devices.allow", "/sys/fs/cgroup/cgroup.procs",
	"/sys/fs/cgroup/memory.max", "/proc/self/exe", "/proc/1/exe",
};

static const char *folders[] = {
	"/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/devices", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids",
	"/proc/sys/net", "/sys/class", "/dev", "/dev/shm", "/dev/mqueue", "/proc/self",
};

static const char *devices[] = {
	"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts/ptmx", "/dev/net/tun",
	"/dev/fuse", "/dev/kmsg", "/dev/mem", "/dev/vda", "/dev/console", "/dev/core",
};

static const char *mounts[] = {"/", "/proc", "/proc/sys", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup", "/etc/hosts"};

static const char *hidden(const char *path) {
	struct stat st;
	if (lstat(path, &st)) return errno == ENOENT ? "absent" : result(-1);
	if (S_ISCHR(st.st_mode)) return st.st_rdev == makedev(1, 3) ? "null" : "another-device";
	if (!S_ISDIR(st.st_mode)) {
		int fd = open(path, O_RDONLY);
		const char *verdict = fd < 0 ? result(-1) : "readable";
		if (fd >= 0) close(fd);
		return verdict;
	}
	DIR *dir = opendir(path);
	if (!dir) return result(-1);
	int entries = 0;
	while (readdir(dir)) entries++;
	closedir(dir);
	return entries == 2 ? "empty" : "full";
}

static const char *writable(const char *path) {
	int fd = open(path, O_WRONLY | O_NOCTTY);
	const char *verdict = fd >= 0 ? "allowed" : errno == ENOENT ? "absent" : result(-1);
	if (fd >= 0) close(fd);
	return verdict;
}

static const char *creatable(const char *folder) {
	char path[256];
	struct stat st;
	if (stat(folder, &st)) return "absent";
	snprintf(path, sizeof path, "%s/probe-file", folder);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	const char *verdict = result(fd);
	if (fd >= 0) close(fd), unlink(path);
	if (fd >= 0) return verdict;
	// Some kernel file systems make folders only.
	int error = errno;
	if (mkdir(path, 0700) == 0) return rmdir(path), "allowed";
	errno = errno == EROFS ? EROFS : error;
	return result(-1);
}

static void device(const char *path) {
	char what[64], text[64];
	struct stat st;
	snprintf(what, sizeof what, "node:%s", path);
	if (lstat(path, &st)) {
		verdict(what, errno == ENOENT ? "absent" : result(-1));
	} else if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlink(path, text, sizeof text - 1);
		text[n < 0 ? 0 : n] = 0;
		verdict(what, text);
	} else {
		snprintf(text, sizeof text, "%c-%u:%u-%o", S_ISCHR(st.st_mode) ? 'c' : S_ISBLK(st.st_mode) ? 'b' : '?', major(st.st_rdev),
		         minor(st.st_rdev), st.st_mode & 07777);
		verdict(what, text);
	}
}

static void mounted(const char *path) {
	char what[64], text[64] = "";
	struct statvfs fs;
	snprintf(what, sizeof what, "mount:%s", path);
	if (statvfs(path, &fs)) {
		verdict(what, errno == ENOENT ? "absent" : result(-1));
		return;
	}
	strcat(text, fs.f_flag & ST_RDONLY ? "ro" : "rw");
	if (fs.f_flag & ST_NOSUID) strcat(text, ",nosuid");
	if (fs.f_flag & ST_NODEV) strcat(text, ",nodev");
	if (fs.f_flag & ST_NOEXEC) strcat(text, ",noexec");
	verdict(what, text);
}

#define EACH(list, i) (size_t i = 0; i < sizeof list / sizeof *list; i++)

void files(void) {
	char what[128];
	for EACH(masked, i) {
		snprintf(what, sizeof what, "masked:%s", masked[i]);
		verdict(what, hidden(masked[i]));
	}
	for EACH(readOnly, i) {
		snprintf(what, sizeof what, "write:%s", readOnly[i]);
		verdict(what, writable(readOnly[i]));
	}
	for EACH(folders, i) {
		snprintf(what, sizeof what, "create:%s", folders[i]);
		verdict(what, creatable(folders[i]));
	}
	for EACH(devices, i) device(devices[i]);
	for EACH(mounts, i) mounted(mounts[i]);
}
