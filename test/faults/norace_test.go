//go:build !race

package faults

// usualSeeds is how many seeds a usual run has.
const usualSeeds = 1200
