// Package lab proves the promises of the lab on this machine, as root: what comes up works as any cluster does, what
// dies is repaired, and what is taken down leaves nothing behind. It brings up labs of its own, beside others.
package lab
