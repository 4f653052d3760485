//go:build race

package faults

// usualSeeds is how many seeds a usual run has. With the race detector each of them takes ten times as long.
const usualSeeds = 100
