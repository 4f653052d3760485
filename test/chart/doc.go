// Package chart tests the Helm chart as users meet it: through the helm program, and against a real API server. It
// promises that what the chart renders is accepted, asks for no more rights than it needs, survives upgrades without
// losing certificates, and takes no workload away when it is uninstalled.
package chart
