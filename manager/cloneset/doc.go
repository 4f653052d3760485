// Package cloneset is the kind CloneSet: its controller, its admission and the conversion between its versions.
//
// It promises that a CloneSet written in either version means the same, that what the API server accepted can be
// carried out, and that templates stay as their users wrote them. Everything that one object can say about itself is
// told by the schema and the CEL rules in api/apps; the webhook here adds only what they cannot see.
//
// The controller is a sandwich: observe.go gathers facts from caches, decide.go asks plan/podset what to do, act.go has
// manager/podops carry it out, and report.go turns the outcome into status, conditions and events. What should happen
// is decided nowhere here.
package cloneset
