package runconfig

import (
	"net"
	"time"

	"github.com/moby/moby/api/types/blkiodev"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/spf13/pflag"
)

// Options collects the flags. Config and Host are complete after Finish.
type Options struct {
	Config     container.Config
	Host       container.HostConfig
	Networking network.NetworkingConfig

	// Attach holds the streams of --attach; Env the variables of --env, in
	// order. The caller may add to Env before Finish.
	Attach []string
	Env    []string

	flags                                   *pflag.FlagSet
	volumes, tmpfs, publish, expose         []string
	envFiles, labels, labelFiles            []string
	devices, logOptions, securityOpts       []string
	storageOpts                             []string
	aliases, linkLocal, dns                 []string
	ip, ip6                                 net.IP
	mac, entrypoint, restart, healthCommand string
	networks                                []attachment
	ulimits                                 map[string]*container.Ulimit
	health                                  container.HealthConfig
	noHealth, initProcess, oomKillOff       bool
	stopTimeout                             int
	pids, swappiness                        int64
	ioBandwidth                             int64
}

// windowsFlags are for daemons on another system.
func windowsFlags() []string {
	return []string{"cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops"}
}

// Add declares the flags that run and create share.
func Add(f *pflag.FlagSet) *Options {
	o := &Options{flags: f, ulimits: map[string]*container.Ulimit{}}
	h, c := &o.Host, &o.Config
	// The daemon keeps these as they come, and docker sends them empty, not null.
	h.DNSOptions, h.DNSSearch = []string{}, []string{}
	h.BlkioWeightDevice = []*blkiodev.WeightDevice{}
	h.BlkioDeviceReadBps, h.BlkioDeviceWriteBps = []*blkiodev.ThrottleDevice{}, []*blkiodev.ThrottleDevice{}
	h.BlkioDeviceReadIOps, h.BlkioDeviceWriteIOps = []*blkiodev.ThrottleDevice{}, []*blkiodev.ThrottleDevice{}
	h.Sysctls, h.Annotations = map[string]string{}, map[string]string{}

	// General
	f.VarP(list{&o.Attach, checkAttach}, "attach", "a", "Attach to STDIN, STDOUT or STDERR")
	f.Var(list{&h.DeviceCgroupRules, checkDeviceRule}, "device-cgroup-rule", "Add a rule to the cgroup allowed devices list")
	f.Var(List(&o.devices), "device", "Add a host device to the container")
	f.Var(gpus{&h.DeviceRequests}, "gpus", "GPU devices to add to the container ('all' to pass all GPUs)")
	f.VarP(EnvList(&o.Env), "env", "e", "Set environment variables")
	f.Var(List(&o.envFiles), "env-file", "Read in a file of environment variables")
	f.StringVar(&o.entrypoint, "entrypoint", "", "Overwrite the default ENTRYPOINT of the image")
	f.Var(List(&h.GroupAdd), "group-add", "Add additional groups to join")
	f.StringVarP(&c.Hostname, "hostname", "h", "", "Container host name")
	f.StringVar(&c.Domainname, "domainname", "", "Container NIS domain name")
	f.BoolVarP(&c.OpenStdin, "interactive", "i", false, "Keep STDIN open even if not attached")
	f.VarP(list{&o.labels, checkLabel}, "label", "l", "Set meta data on a container")
	f.Var(List(&o.labelFiles), "label-file", "Read in a line delimited file of labels")
	f.BoolVar(&h.ReadonlyRootfs, "read-only", false, "Mount the container's root filesystem as read only")
	f.StringVar(&o.restart, "restart", "no", "Restart policy to apply when a container exits")
	f.StringVar(&c.StopSignal, "stop-signal", "", "Signal to stop the container")
	f.IntVar(&o.stopTimeout, "stop-timeout", 0, "Timeout (in seconds) to stop a container")
	f.Var(pairs{h.Sysctls, checkSysctl}, "sysctl", "Sysctl options")
	f.BoolVarP(&c.Tty, "tty", "t", false, "Allocate a pseudo-TTY")
	f.Var(ulimits{o.ulimits}, "ulimit", "Ulimit options")
	f.StringVarP(&c.User, "user", "u", "", "Username or UID (format: <name|uid>[:<group|gid>])")
	f.StringVarP(&c.WorkingDir, "workdir", "w", "", "Working directory inside the container")
	f.BoolVar(&h.AutoRemove, "rm", false, "Automatically remove the container and its associated anonymous volumes when it exits")

	// Security
	f.Var(List(&h.CapAdd), "cap-add", "Add Linux capabilities")
	f.Var(List(&h.CapDrop), "cap-drop", "Drop Linux capabilities")
	f.BoolVar(&h.Privileged, "privileged", false, "Give extended privileges to this container")
	f.Var(List(&o.securityOpts), "security-opt", "Security Options")
	f.StringVar((*string)(&h.UsernsMode), "userns", "", "User namespace to use")
	f.StringVar((*string)(&h.CgroupnsMode), "cgroupns", "", `Cgroup namespace to use (host|private)
'host':    Run the container in the Engine host's cgroup namespace
'private': Run the container in its own private cgroup namespace
'':        Use the cgroup namespace as configured by the
           default-cgroupns-mode option on the daemon (default)`)

	// Network
	f.Var(list{&h.ExtraHosts, checkExtraHost}, "add-host", "Add a custom host-to-IP mapping (host:ip)")
	f.Var(list{&o.dns, checkIP}, "dns", "Set custom DNS servers")
	f.Var(List(&h.DNSOptions), "dns-option", "Set DNS options")
	f.Var(List(&h.DNSOptions), "dns-opt", "Set DNS options")
	f.Var(list{&h.DNSSearch, checkDomain}, "dns-search", "Set custom DNS search domains")
	f.Var(List(&o.expose), "expose", "Expose a port or a range of ports")
	f.IPVar(&o.ip, "ip", nil, "IPv4 address (e.g., 172.30.100.104)")
	f.IPVar(&o.ip6, "ip6", nil, "IPv6 address (e.g., 2001:db8::33)")
	f.Var(list{&h.Links, checkLink}, "link", "Add link to another container")
	f.Var(List(&o.linkLocal), "link-local-ip", "Container IPv4/IPv6 link-local addresses")
	f.StringVar(&o.mac, "mac-address", "", "Container MAC address (e.g., 92:d0:c6:0a:29:33)")
	f.VarP(List(&o.publish), "publish", "p", "Publish a container's port(s) to the host")
	f.BoolVarP(&h.PublishAllPorts, "publish-all", "P", false, "Publish all exposed ports to random ports")
	f.Var(attachments{&o.networks}, "network", "Connect a container to a network")
	f.Var(attachments{&o.networks}, "net", "Connect a container to a network")
	f.Var(List(&o.aliases), "network-alias", "Add network-scoped alias for the container")
	f.Var(List(&o.aliases), "net-alias", "Add network-scoped alias for the container")
	for _, old := range []string{"dns-opt", "net", "net-alias"} {
		f.MarkHidden(old)
	}

	// Logging and storage
	f.StringVar(&h.LogConfig.Type, "log-driver", "", "Logging driver for the container")
	f.StringVar(&h.VolumeDriver, "volume-driver", "", "Optional volume driver for the container")
	f.Var(List(&o.logOptions), "log-opt", "Log driver options")
	f.Var(List(&o.storageOpts), "storage-opt", "Storage driver options for the container")
	f.Var(List(&o.tmpfs), "tmpfs", "Mount a tmpfs directory")
	f.Var(List(&h.VolumesFrom), "volumes-from", "Mount volumes from the specified container(s)")
	f.VarP(List(&o.volumes), "volume", "v", "Bind mount a volume")
	f.Var(mounts{(*[]mount.Mount)(&h.Mounts)}, "mount", "Attach a filesystem mount to the container")

	// Health
	duration := func(d *time.Duration, name, usage string) {
		f.DurationVar(d, name, 0, usage+" (ms|s|m|h) (default 0s)")
	}
	f.StringVar(&o.healthCommand, "health-cmd", "", "Command to run to check health")
	duration(&o.health.Interval, "health-interval", "Time between running the check")
	f.IntVar(&o.health.Retries, "health-retries", 0, "Consecutive failures needed to report unhealthy")
	duration(&o.health.Timeout, "health-timeout", "Maximum time to allow one check to run")
	duration(&o.health.StartPeriod, "health-start-period", "Start period for the container to initialize before starting health-retries countdown")
	duration(&o.health.StartInterval, "health-start-interval", "Time between running the check during the start period")
	f.BoolVar(&o.noHealth, "no-healthcheck", false, "Disable any container-specified HEALTHCHECK")

	// Resources
	f.Uint16Var(&h.BlkioWeight, "blkio-weight", 0, "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)")
	f.Var(weights{&h.BlkioWeightDevice}, "blkio-weight-device", "Block IO weight (relative device weight)")
	f.StringVar(&h.ContainerIDFile, "cidfile", "", "Write the container ID to the file")
	f.StringVar(&h.CpusetCpus, "cpuset-cpus", "", "CPUs in which to allow execution (0-3, 0,1)")
	f.StringVar(&h.CpusetMems, "cpuset-mems", "", "MEMs in which to allow execution (0-3, 0,1)")
	f.Int64Var(&h.CPUCount, "cpu-count", 0, "CPU count (Windows only)")
	f.Int64Var(&h.CPUPercent, "cpu-percent", 0, "CPU percent (Windows only)")
	f.Int64Var(&h.CPUPeriod, "cpu-period", 0, "Limit CPU CFS (Completely Fair Scheduler) period")
	f.Int64Var(&h.CPUQuota, "cpu-quota", 0, "Limit CPU CFS (Completely Fair Scheduler) quota")
	f.Int64Var(&h.CPURealtimePeriod, "cpu-rt-period", 0, "Limit CPU real-time period in microseconds")
	f.Int64Var(&h.CPURealtimeRuntime, "cpu-rt-runtime", 0, "Limit CPU real-time runtime in microseconds")
	f.Int64VarP(&h.CPUShares, "cpu-shares", "c", 0, "CPU shares (relative weight)")
	f.Var(cpus{&h.NanoCPUs}, "cpus", "Number of CPUs")
	f.Var(throttles{&h.BlkioDeviceReadBps, true}, "device-read-bps", "Limit read rate (bytes per second) from a device")
	f.Var(throttles{&h.BlkioDeviceReadIOps, false}, "device-read-iops", "Limit read rate (IO per second) from a device")
	f.Var(throttles{&h.BlkioDeviceWriteBps, true}, "device-write-bps", "Limit write rate (bytes per second) to a device")
	f.Var(throttles{&h.BlkioDeviceWriteIOps, false}, "device-write-iops", "Limit write rate (IO per second) to a device")
	f.Var(amount{n: &o.ioBandwidth}, "io-maxbandwidth", "Maximum IO bandwidth limit for the system drive (Windows only)")
	f.Uint64Var(&h.IOMaximumIOps, "io-maxiops", 0, "Maximum IOps limit for the system drive (Windows only)")
	f.VarP(amount{n: &h.Memory}, "memory", "m", "Memory limit")
	f.Var(amount{n: &h.MemoryReservation}, "memory-reservation", "Memory soft limit")
	f.Var(amount{&h.MemorySwap, true}, "memory-swap", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap")
	f.Int64Var(&o.swappiness, "memory-swappiness", -1, "Tune container memory swappiness (0 to 100)")
	f.BoolVar(&o.oomKillOff, "oom-kill-disable", false, "Disable OOM Killer")
	f.IntVar(&h.OomScoreAdj, "oom-score-adj", 0, "Tune host's OOM preferences (-1000 to 1000)")
	f.Int64Var(&o.pids, "pids-limit", 0, "Tune container pids limit (set -1 for unlimited)")

	// Namespaces, cgroups, runtime
	f.StringVar(&h.CgroupParent, "cgroup-parent", "", "Optional parent cgroup for the container")
	f.StringVar((*string)(&h.IpcMode), "ipc", "", "IPC mode to use")
	f.StringVar((*string)(&h.Isolation), "isolation", "", "Container isolation technology")
	f.StringVar((*string)(&h.PidMode), "pid", "", "PID namespace to use")
	f.Var(amount{n: &h.ShmSize}, "shm-size", "Size of /dev/shm")
	f.StringVar((*string)(&h.UTSMode), "uts", "", "UTS namespace to use")
	f.StringVar(&h.Runtime, "runtime", "", "Runtime to use for this container")
	f.BoolVar(&o.initProcess, "init", false, "Run an init inside the container that forwards signals and reaps processes")
	f.Var(pairs{h.Annotations, nil}, "annotation", "Add an annotation to the container (passed through to the OCI runtime)")

	// Taken and dropped, as docker does.
	f.Var(amount{n: new(int64)}, "kernel-memory", "Kernel memory limit (deprecated)")
	f.MarkDeprecated("kernel-memory", "and no longer supported by the kernel")
	f.Bool("disable-content-trust", true, "Skip image verification (deprecated)")
	f.MarkHidden("disable-content-trust")
	for _, name := range windowsFlags() {
		f.MarkHidden(name)
	}
	return o
}
