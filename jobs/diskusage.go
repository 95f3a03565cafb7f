package jobs

import (
	"github.com/moby/moby/api/types/system"

	"github.com/jobengine/engine/engine"
)

// SystemDf tells what takes how much of the disk.
var SystemDf = engine.Define[SystemDfIn, SystemDfOut]("system_df")

// SystemDfIn selects what is looked at: container, image, volume, build-cache;
// nothing is all of it.
type SystemDfIn struct {
	Types []system.DiskUsageObject `job:"arg"`
}

// SystemDfOut has a part for each type that was asked for, all with their Items;
// the others are nil.
type SystemDfOut struct{ system.DiskUsage }
