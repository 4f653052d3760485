// Package statefulset is the kind StatefulSet of apps.kruise.io: its controller and its admission.
//
// It promises that every manifest of a native StatefulSet means the same here, that what the API server accepted can be
// carried out, and that templates stay as their users wrote them. Both versions have one schema, so none is converted.
// Everything that one object can say about itself is told by the schema and the CEL rules in api/apps; the webhook here
// adds only what they cannot see.
//
// The controller is a sandwich: observe.go gathers facts from caches, decide.go asks plan/podset what to do, act.go and
// claims.go have manager/podops carry it out, and report.go turns the outcome into status, conditions and events. What
// should happen is decided nowhere here.
package statefulset
