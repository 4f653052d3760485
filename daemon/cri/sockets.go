package cri

import (
	"os"
	"path/filepath"
	"slices"
)

// places are where runtimes have their sockets below /var/run, in the order in which they are tried.
func places() []string {
	return []string{
		"containerd.sock", "containerd/containerd.sock",
		"crio.sock", "crio/crio.sock",
		"cri-dockerd.sock", "cri-dockerd/cri-dockerd.sock",
	}
}

// Sockets lists the paths below root at which a runtime may have its socket, the likeliest first. own, if not empty, is
// tried before all others: a path below root, as the flag --socket-file has it.
func Sockets(root, own string) []string {
	relative := places()
	if own != "" {
		relative = append([]string{own}, slices.DeleteFunc(relative, func(p string) bool { return p == own })...)
	}
	paths := make([]string, 0, len(relative))
	for _, p := range relative {
		paths = append(paths, filepath.Join(root, p))
	}
	return paths
}

// present keeps the paths that are sockets now, and of several names of one socket the first.
func present(paths []string) []string {
	var found []string
	var files []os.FileInfo
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || info.Mode()&os.ModeSocket == 0 {
			continue
		}
		if slices.ContainsFunc(files, func(other os.FileInfo) bool { return os.SameFile(other, info) }) {
			continue
		}
		found, files = append(found, path), append(files, info)
	}
	return found
}
