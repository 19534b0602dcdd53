// Package client runs our own client against every server that there is, over every transport, through proxies that
// misbehave and over lines that are cut.
package client

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
