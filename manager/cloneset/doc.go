// Package cloneset runs CloneSets: controller and admission together.
//
// The controller is a sandwich: observe.go gathers facts from caches, decide.go asks plan/podset what to do, act.go has
// manager/podops carry it out, and report.go turns the outcome into status, conditions and events. What should happen
// is decided nowhere here.
package cloneset
