// Package cluster boots a Kubernetes cluster out of plain processes on one Linux machine, and takes it down again.
//
// A lab with real nodes consists of machines (package machine). The control plane is one; it runs etcd, the API
// server, the controller manager, the scheduler, the registry and a kube-proxy. Each node is one; it runs kubelet,
// containerd and kube-proxy. The network is routed, without any bridge: every node, and the host, is connected to the
// control plane's machine by a link of its own, and that machine forwards between them. So the host gets one link and
// a few routes, and no packet filter rule, sysctl or bridge of the host is ever touched.
//
// A lab without real nodes needs no root: the control plane's programs listen on 127.0.0.1.
//
// The package promises that Up can be repeated and repairs what has died, that labs of different names live side by
// side, and that Down leaves nothing: no process, mount, namespace, link, route or control group.
package cluster
