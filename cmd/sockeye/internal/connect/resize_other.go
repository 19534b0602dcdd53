//go:build !unix

package connect

// onResize does nothing: there is no signal for it here. The size is that of the beginning.
func onResize(func()) (stop func()) { return func() {} }
