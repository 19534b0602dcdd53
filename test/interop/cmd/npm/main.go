// Command npm installs the npm packages that the interoperability tests need into the cache, as the tests
// themselves would.
package main

import (
	"fmt"
	"os"

	"github.com/sockeye-io/sockeye/test/interop/kit"
)

func main() {
	if _, err := kit.InstallNPM(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
