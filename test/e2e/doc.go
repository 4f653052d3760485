// Package e2e proves what only a real cluster can: containers, kubelets, addresses, volumes and requests over the network,
// with the product installed from its chart.
//
// It brings up a lab of its own, of three real nodes, and takes it down at the end. KRUISE_E2E_KEEP=1 keeps it;
// KRUISE_E2E_KUBECONFIG names the kubeconfig of such a lab on this machine to use instead, where the product is installed and
// not on node-3: that node is tainted for the story that cuts it off. What a failed test leaves to look at is written to a
// folder that it names.
//
// Every story has a namespace of its own. Budgets are checked at every event of a watch, and a test waits for nothing but
// states: a wait that is given up says what it waited for and what it saw last.
package e2e
