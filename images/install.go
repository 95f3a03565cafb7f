package images

import (
	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/jobs"
)

// Install registers the jobs of images.
func (i *Images) Install(eng *engine.Engine) {
	i.eng = eng
	jobs.Pull.Register(eng, i.pull)
	jobs.Push.Register(eng, i.push)
	jobs.Auth.Register(eng, i.login)
	jobs.Search.Register(eng, i.search)
	jobs.ManifestInspect.Register(eng, i.manifestInspect)
	jobs.DistributionInspect.Register(eng, i.distributionInspect)
	jobs.ImageVerify.Register(eng, verifyAll)

	jobs.Import.Register(eng, i.importTar)
	jobs.Load.Register(eng, i.load)
	jobs.Save.Register(eng, i.save)

	jobs.Images.Register(eng, i.list)
	jobs.ImageInspect.Register(eng, i.inspect)
	jobs.History.Register(eng, i.history)

	jobs.Tag.Register(eng, i.tag)
	jobs.ImageDelete.Register(eng, i.delete)
	jobs.ImagePrune.Register(eng, i.prune)
}
