// Command pause holds a pod's namespaces open. As the first process of a pod it does two things: it collects the children
// that other containers leave behind when they share their process namespace with it, and it ends at once when it is told to.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// Two channels, so that many children at once cannot push the order to end out of a full one.
	end, child := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	signal.Notify(child, syscall.SIGCHLD)
	hold(end, child)
}

func hold(end, child <-chan os.Signal) {
	for {
		select {
		case <-end:
			return
		case <-child:
			reap()
		}
	}
}

// reap collects every child that has ended. One signal may stand for several children, so it asks until there is none left.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}
