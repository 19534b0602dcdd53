package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/examples/internal/try"
	"github.com/sockeye-io/sockeye/examples/typed/auction"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

func TestMain(m *testing.M) { try.Main(m, main) }

const length = 10 * time.Minute

// inHouse runs a test with an auction that has just begun, and a fake clock.
func inHouse(t *testing.T, test func(t *testing.T, srv *sockeyetest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, sockeyetest.Start(t, newHouse(length).open())) })
}

func TestAuction(t *testing.T) {
	inHouse(t, func(t *testing.T, srv *sockeyetest.Server) {
		ada := srv.Connect(t, "/", sockeyetest.Named("Ada"))
		bob := srv.Connect(t, "/", sockeyetest.Named("Bob"), sockeyetest.Transports("polling"))

		want := sockeyetest.Call(t, bob, auction.Look, struct{}{})
		if want.Amount != 10_00 {
			t.Errorf("it begins with %+v", want)
		}
		got := sockeyetest.Call(t, ada, auction.Place, auction.Bid{Bidder: "Ada", Amount: 11_00})
		want.Leader, want.Amount = "Ada", 11_00
		if got != want {
			t.Errorf("Ada's bid makes it %+v", got)
		}
		sockeyetest.Expect(t, bob, auction.Changed, want)
		sockeyetest.Expect(t, ada, auction.Changed, want)

		var data auction.Minimum
		failure := sockeyetest.CallError(t, bob, auction.TooLow, auction.Place, auction.Bid{Bidder: "Bob", Amount: 11_50})
		if err := failure.Bind(&data); err != nil || data.Minimum != 12_00 {
			t.Errorf("the minimum is %+v, %v", data, err)
		}
		sockeyetest.CallError(t, bob, auction.Invalid, auction.Place, auction.Bid{Amount: 20_00})
		bob.CallError(t, event.CodeBadRequest, auction.Place.Name(), "all I have")
		ada.ExpectNone(t)
	})
}

func TestAuctionConfirms(t *testing.T) {
	high := auction.Bid{Bidder: "Ada", Amount: 1_000_000_00}
	inHouse(t, func(t *testing.T, srv *sockeyetest.Server) {
		c := srv.Connect(t, "/")
		meant := false
		auction.Confirm.On(c, func(context.Context, auction.Question) (bool, error) { return meant, nil })
		sockeyetest.CallError(t, c, auction.NotMeant, auction.Place, high)
		meant = true
		if state := sockeyetest.Call(t, c, auction.Place, high); state.Amount != high.Amount {
			t.Errorf("a bid that is meant: %+v", state)
		}
	})
	inHouse(t, func(t *testing.T, srv *sockeyetest.Server) {
		c := srv.Connect(t, "/") // whose user has gone for a walk
		sockeyetest.CallError(t, c, auction.NoAnswer, auction.Place, high)
	})
}

func TestAuctionEnds(t *testing.T) {
	inHouse(t, func(t *testing.T, srv *sockeyetest.Server) {
		c := srv.Connect(t, "/")
		time.Sleep(length)
		sockeyetest.Call(t, c, auction.Place, auction.Bid{Bidder: "Ada", Amount: 50_00})
		time.Sleep(time.Nanosecond)
		sockeyetest.CallError(t, c, auction.Over, auction.Place, auction.Bid{Bidder: "Bob", Amount: 60_00})
	})
}

func TestProgram(t *testing.T) {
	p := try.Start(t)
	p.HasPage(t)
	p.Connects(t, nil)
}
