package record

// Endpoint is how the container wants to be connected to a network.
type Endpoint struct {
	IPAMConfig *EndpointIPAM     `json:",omitempty"`
	Links      []string          `json:",omitempty"`
	Aliases    []string          `json:",omitempty"`
	DriverOpts map[string]string `json:",omitempty"`
	GwPriority int               `json:",omitempty"`
	MacAddress string            `json:",omitempty"`
}

// EndpointIPAM is the addresses that the user chose.
type EndpointIPAM struct {
	IPv4Address  string   `json:",omitempty"`
	IPv6Address  string   `json:",omitempty"`
	LinkLocalIPs []string `json:",omitempty"`
}
