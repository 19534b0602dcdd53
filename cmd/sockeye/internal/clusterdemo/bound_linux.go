package clusterdemo

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// parents runs what starts processes: the kernel kills a process when the thread that started it ends, so that thread is
// one that lives as long as we do.
var parents = sync.OnceValue(func() chan<- func() {
	todo := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range todo {
			f()
		}
	}()
	return todo
})

// startBound starts a process that the kernel kills when we are killed.
func startBound(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	result := make(chan error)
	parents() <- func() { result <- cmd.Start() }
	return <-result
}
