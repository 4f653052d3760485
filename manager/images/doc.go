// Package images pulls images on nodes ahead of time: the kinds ImagePullJob, ImageListPullJob and NodeImage.
//
// It promises: every real node has a NodeImage, from a while after it is ready until it is gone; a job works on no more nodes
// at a time than its parallelism, also when managers change; jobs for the same image on the same node do not disturb each
// other; what a change of one node costs does not grow with the number of nodes, and what a job costs is spaced by the number
// of its nodes; a NodeImage is written by nobody else but its node, which writes the status, and all jobs that begin on a
// node within a second share a write; nodes can read those pull secrets that a job of theirs still needs, and no others.
//
// plan/fanout decides about jobs and plan/images about NodeImages. Between them stands the board: jobs put on it which nodes
// are to begin, and NodeImages what came of it. It holds nothing that the caches do not show a moment later.
package images
