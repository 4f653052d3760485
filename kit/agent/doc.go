// Package agent runs controllers over few objects in a program of which there is one on every node.
//
// It is what such a program has in place of controller-runtime, whose client knows all kinds of Kubernetes: on a thousand
// nodes, the pages of those kinds are what most of the memory goes to. Informers, queues and requests are client-go's here, too.
//
// It promises: only the kinds of the program's own scheme are linked into it; nothing is decided before the objects of
// every kind have been seen; one key is worked on by one worker at a time; what fails is tried again with growing pauses,
// a panic as well; an event is sent at most once.
package agent
