package images

import (
	"github.com/jobengine/engine/images/registry"
)

// Live is what can be changed while the engine runs. Transfers that are under way
// go on as they began; the next ones are made with the new values.
type Live struct {
	Registry                             *registry.Client
	Downloads, Uploads, DownloadAttempts int
	GC                                   GC
}

// Configure changes it.
func (i *Images) Configure(l Live) {
	i.useRegistry(l.Registry)
	i.blobs.Limit(l.Downloads, l.DownloadAttempts)
	i.limitUploads(l.Uploads)
	i.SetGC(l.GC)
}

func (i *Images) useRegistry(client *registry.Client) {
	if client.Notice == nil {
		client.Notice = func(text string) { i.Log.Warn("images: " + text) }
	}
	i.client.Store(client)
}

// limitUploads makes room for so many uploads at the same time.
func (i *Images) limitUploads(n int) {
	if n <= 0 {
		n = 5
	}
	if room := i.uploading.Load(); room != nil && cap(*room) == n {
		return
	}
	room := make(chan struct{}, n)
	i.uploading.Store(&room)
}
