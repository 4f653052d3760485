// Package sidecarset is the controller and the admission of SidecarSets, and the conversion of their versions.
//
// It promises that no object is let in that cannot do what it says, that the hashes on a SidecarSet are those of its sidecars,
// and that nothing with a meaning is lost between the versions.
package sidecarset
