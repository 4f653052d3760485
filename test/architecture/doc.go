// Package architecture keeps the promises of ARCHITECTURE.md. It reads the tables of that file, then every Go file of the
// module, and reports each place where the code does what the tables forbid. A rule is changed in the table, never here.
package architecture
