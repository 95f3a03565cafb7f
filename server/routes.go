package server

// routes is the route table, the more specific rows of a noun first. Every
// path is served as it stands and below /v1.24 … /v1.56.
func (s *Server) routes() []route {
	rows := []route{
		{"GET", "/_ping", s.ping},
		{"HEAD", "/_ping", s.ping},
		{"GET", "/version", s.getVersion},
		{"GET", "/info", s.getInfo},
		{"GET", "/events", s.getEvents},

		{"POST", "/containers/prune", s.postContainersPrune},
		{"POST", "/images/prune", s.postImagesPrune},
		{"POST", "/networks/prune", s.postNetworksPrune},
		{"POST", "/volumes/prune", s.postVolumesPrune},
		{"POST", "/build/prune", s.postBuildPrune},
		{"POST", "/system/check", s.postSystemCheck},
		{"GET", "/system/df", s.getSystemDf},

		{"GET", "/containers/json", s.getContainers},
		{"POST", "/containers/create", s.postContainerCreate},
		{"GET", "/containers/{name:.+}/json", s.getContainer},
		{"GET", "/containers/{name:.+}/top", s.getContainerTop},
		{"GET", "/containers/{name:.+}/logs", s.getContainerLogs},
		{"POST", "/containers/{name:.+}/start", s.postContainerStart},
		{"POST", "/containers/{name:.+}/stop", s.postContainerStop},
		{"POST", "/containers/{name:.+}/restart", s.postContainerRestart},
		{"POST", "/containers/{name:.+}/kill", s.postContainerKill},
		{"POST", "/containers/{name:.+}/pause", s.postContainerPause},
		{"POST", "/containers/{name:.+}/unpause", s.postContainerUnpause},
		{"POST", "/containers/{name:.+}/rename", s.postContainerRename},
		{"POST", "/containers/{name:.+}/update", s.postContainerUpdate},
		{"GET", "/containers/{name:.+}/stats", s.getContainerStats},
		{"POST", "/containers/{name:.+}/resize", s.postContainerResize},
		{"POST", "/containers/{name:.+}/wait", s.postContainerWait},
		{"POST", "/containers/{name:.+}/attach", s.postContainerAttach},
		{"POST", "/containers/{name:.+}/exec", s.postExecCreate},
		{"GET", "/containers/{name:.+}/changes", s.getContainerChanges},
		{"GET", "/containers/{name:.+}/export", s.getContainerExport},
		{"POST", "/commit", s.postCommit},
		{"DELETE", "/containers/{name:.+}", s.deleteContainer},

		{"POST", "/exec/{id}/start", s.postExecStart},
		{"POST", "/exec/{id}/resize", s.postExecResize},
		{"GET", "/exec/{id}/json", s.getExec},

		{"GET", "/images/json", s.getImages},
		{"POST", "/images/create", s.postImageCreate},
		{"POST", "/images/load", s.postImageLoad},
		{"GET", "/images/search", s.getImagesSearch},
		{"POST", "/images/{name:.+}/push", s.postImagePush},
		{"POST", "/auth", s.postAuth},
		{"GET", "/distribution/{name:.+}/manifest", s.getManifest},
		{"GET", "/distribution/{name:.+}/json", s.getDistribution},
		{"GET", "/images/get", s.getImageArchive},
		{"GET", "/images/{name:.+}/get", s.getImageArchive},
		{"GET", "/images/{name:.+}/json", s.getImage},
		{"GET", "/images/{name:.+}/history", s.getImageHistory},
		{"GET", "/images/{name:.+}/attestations", getAttestations},
		{"POST", "/images/{name:.+}/tag", s.postImageTag},
		{"DELETE", "/images/{name:.+}", s.deleteImage},

		{"GET", "/networks", s.getNetworks},
		{"GET", "/networks/", s.getNetworks},
		{"GET", "/networks/{name:.+}", s.getNetwork},
		{"POST", "/networks/create", s.postNetworkCreate},
		{"POST", "/networks/{name:.+}/connect", s.postNetworkConnect},
		{"POST", "/networks/{name:.+}/disconnect", s.postNetworkDisconnect},
		{"DELETE", "/networks/{name:.+}", s.deleteNetwork},

		{"GET", "/volumes", s.getVolumes},
		{"GET", "/volumes/{name:.+}", s.getVolume},
		{"DELETE", "/volumes/{name:.+}", s.getVolume},

		{"GET", "/plugins", s.getPlugins},
		{"GET", "/plugins/{name:.+}/json", s.getPlugin},

		{"GET", "/jobs", s.getJobs},
		{"POST", "/jobs/{name}", s.postJob},
		{"DELETE", "/jobs/{id}", s.deleteJob},
	}
	rows = append(rows, swarmRoutes()...)
	if s.opts.Debug {
		rows = append(rows, debugRoutes()...)
	}
	return append(rows, missingRoutes()...)
}
