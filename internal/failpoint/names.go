package failpoint

// The points, all of them. Each stands after what it is named for.
const (
	CreateFolder  = "containers.create.folder"
	CreateLayer   = "containers.create.layer"
	CreateRecord  = "containers.create.record"
	StartStep     = "containers.start.step" // after each of them: use @N
	RemovalMarked = "containers.rm.marked"
	RemovalLayer  = "containers.rm.layer"
	RemovalRecord = "containers.rm.record"
	LayerFolder   = "images.publish.folder"     // of a layer's or an image's records, before it has its name
	ImageRecord   = "images.publish.record"     // can't fail
	ProcessMade   = "supervisor.create.process" // can't fail
	ExitSaved     = "supervisor.exit.saved"     // can't fail
)
