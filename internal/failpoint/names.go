package failpoint

// The points, all of them. Each stands after what it is named for.
const (
	CreateFolder  = "containers.create.folder"
	CreateLayer   = "containers.create.layer"
	CreateRecord  = "containers.create.record"
	StartStep     = "containers.start.step"    // after each of them: use @N
	ExitRecorded  = "containers.exit.recorded" // by the daemon; can't fail
	RemovalMarked = "containers.rm.marked"
	RemovalLayer  = "containers.rm.layer"
	RemovalRecord = "containers.rm.record"

	LayerFolder = "images.publish.folder" // of a layer's or an image's records, before it has its name
	ImageRecord = "images.publish.record" // can't fail
	NameRecord  = "images.tag.record"     // can't fail

	GarbageChosen = "images.gc.chosen" // an image that is to go

	NetworkRecord  = "networks.create.record"
	EndpointMade   = "networks.connect.endpoint"
	EndpointLeaves = "networks.disconnect.endpoint" // written down, not done

	// Inside the network driver bridge.
	BridgeCreate  = "networkdriver.create"  // after the interface, and (@2) after its rules
	BridgeDelete  = "networkdriver.delete"  // the interface is gone, the rules are there
	BridgeJoin    = "networkdriver.join"    // after the pair, and (@2) after its settings
	BridgePublish = "networkdriver.publish" // the rules are there, nothing else knows
	BridgeLeave   = "networkdriver.leave"   // after the pair (@2 for a second endpoint)
	BridgeForget  = "networkdriver.forget"  // the rules of an endpoint are gone

	// Inside the graph drivers, whichever is used.
	GraphCreate = "graphdriver.create" // before the layer has its name
	GraphApply  = "graphdriver.apply"  // unpacked, not recorded
	GraphMount  = "graphdriver.mount"
	GraphRemove = "graphdriver.remove" // it has lost its name, and is on disk

	// Inside the exec driver native, in the supervisor.
	ExecCreate = "execdriver.create"
	ExecStart  = "execdriver.start"  // the program runs already
	ExecDelete = "execdriver.delete" // the cgroups are gone, the rest is there
	ExecExec   = "execdriver.exec"

	ProcessMade = "supervisor.create.process" // can't fail
	StartSaved  = "supervisor.start.saved"
	ExecMade    = "supervisor.exec.process" // can't fail
	ExitSaved   = "supervisor.exit.saved"   // can't fail
)
