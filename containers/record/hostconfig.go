package record

// HostConfig is how the container is tied to the host.
type HostConfig struct {
	Binds           []string
	ContainerIDFile string
	LogConfig       LogConfig
	NetworkMode     string
	PortBindings    map[string][]PortBinding
	RestartPolicy   RestartPolicy
	AutoRemove      bool
	VolumeDriver    string
	VolumesFrom     []string
	ConsoleSize     [2]uint           // height, width
	Annotations     map[string]string `json:",omitempty"`

	CapAdd          []string
	CapDrop         []string
	CgroupnsMode    string
	Dns             []string
	DnsOptions      []string
	DnsSearch       []string
	ExtraHosts      []string
	GroupAdd        []string
	IpcMode         string
	Cgroup          string
	Links           []string
	OomScoreAdj     int
	PidMode         string
	Privileged      bool
	PublishAllPorts bool
	ReadonlyRootfs  bool
	SecurityOpt     []string
	StorageOpt      map[string]string `json:",omitempty"`
	Tmpfs           map[string]string `json:",omitempty"`
	UTSMode         string
	UsernsMode      string
	ShmSize         int64             // bytes
	Sysctls         map[string]string `json:",omitempty"`
	Runtime         string            `json:",omitempty"`
	Umask           *uint32           `json:",omitempty"`
	Isolation       string

	Resources

	Mounts        []Mount `json:",omitempty"`
	MaskedPaths   []string
	ReadonlyPaths []string
	Init          *bool `json:",omitempty"`
}

// Resources are limits on what the container may use.
type Resources struct {
	CpuShares            int64
	Memory               int64 // bytes
	NanoCpus             int64
	CgroupParent         string
	BlkioWeight          uint16
	BlkioWeightDevice    []WeightDevice
	BlkioDeviceReadBps   []ThrottleDevice
	BlkioDeviceWriteBps  []ThrottleDevice
	BlkioDeviceReadIOps  []ThrottleDevice
	BlkioDeviceWriteIOps []ThrottleDevice
	CpuPeriod            int64 // microseconds
	CpuQuota             int64 // microseconds
	CpuRealtimePeriod    int64 // microseconds
	CpuRealtimeRuntime   int64 // microseconds
	CpusetCpus           string
	CpusetMems           string
	Devices              []Device
	DeviceCgroupRules    []string
	DeviceRequests       []DeviceRequest
	MemoryReservation    int64 // bytes
	MemorySwap           int64 // bytes, -1 is unlimited
	MemorySwappiness     *int64
	OomKillDisable       *bool
	PidsLimit            *int64
	Ulimits              []Ulimit
	CpuCount             int64
	CpuPercent           int64
	IOMaximumIOps        uint64
	IOMaximumBandwidth   uint64
}

// LogConfig names the log driver.
type LogConfig struct {
	Type   string
	Config map[string]string
}

// PortBinding is where a port is published.
type PortBinding struct{ HostIp, HostPort string }

// RestartPolicy says what happens when the container ends.
type RestartPolicy struct {
	Name              string
	MaximumRetryCount int
}

// Device is a device of the host.
type Device struct{ PathOnHost, PathInContainer, CgroupPermissions string }

// DeviceRequest asks a driver for devices.
type DeviceRequest struct {
	Driver       string
	Count        int
	DeviceIDs    []string
	Capabilities [][]string
	Options      map[string]string
}

// WeightDevice is the I/O weight for one device.
type WeightDevice struct {
	Path   string
	Weight uint16
}

// ThrottleDevice is an I/O rate for one device.
type ThrottleDevice struct {
	Path string
	Rate uint64
}

// Ulimit is a limit of setrlimit(2).
type Ulimit struct {
	Name       string
	Hard, Soft int64
}
