package main

import (
	"encoding/json"
	"testing"

	"github.com/sockeye-io/sockeye/examples/internal/try"
	"github.com/sockeye-io/sockeye/examples/typed/auction"
)

func TestMain(m *testing.M) { try.Main(m, main) }

func TestAuction(t *testing.T) {
	p := try.Start(t)
	p.HasPage(t)
	ada, bob := p.WebSocket(t, nil).Joined(), p.Polling(t, nil).Joined()

	var state auction.State
	if failed := bob.Ask(&state, "look"); failed != nil || state.Amount != 10_00 {
		t.Fatalf("%+v, %+v", state, failed)
	}
	if failed := ada.Ask(&state, "bid", auction.Bid{Bidder: "Ada", Amount: 11_00}); failed != nil || state.Leader != "Ada" {
		t.Fatalf("%+v, %+v", state, failed)
	}
	bob.Next("changed", &state)
	if state.Leader != "Ada" || state.Amount != 11_00 {
		t.Errorf("Bob sees %+v", state)
	}

	failed := bob.Ask(nil, "bid", auction.Bid{Bidder: "Bob", Amount: 11_50})
	if failed == nil || failed.Code != auction.TooLow {
		t.Fatalf("a low bid: %+v", failed)
	}
	var data auction.Minimum
	if err := json.Unmarshal(failed.Data, &data); err != nil || data.Minimum != 12_00 {
		t.Errorf("the minimum is %s, %v", failed.Data, err)
	}
	if failed := bob.Ask(nil, "bid", auction.Bid{Amount: 20_00}); failed == nil || failed.Code != auction.Invalid {
		t.Errorf("a bid of nobody: %+v", failed)
	}
	if failed := bob.Ask(nil, "bid", "all I have"); failed == nil || failed.Code != "bad_request" {
		t.Errorf("a bid that is a text: %+v", failed)
	}
}

func TestAuctionConfirms(t *testing.T) {
	p := try.Start(t)
	c := p.WebSocket(t, nil).Joined()
	high := auction.Bid{Bidder: "Ada", Amount: 1_000_000_00}
	for _, meant := range []bool{false, true} {
		c.AnswerWith("confirm", meant)
		var state auction.State
		failed := c.Ask(&state, "bid", high)
		if meant && (failed != nil || state.Amount != high.Amount) {
			t.Errorf("a bid that is meant: %+v, %+v", state, failed)
		}
		if !meant && (failed == nil || failed.Code != auction.NotMeant) {
			t.Errorf("a bid that is not meant: %+v", failed)
		}
	}
}

func TestAuctionEnds(t *testing.T) {
	p := try.Start(t, "--length", "-1s")
	c := p.WebSocket(t, nil).Joined()
	if failed := c.Ask(nil, "bid", auction.Bid{Bidder: "Ada", Amount: 50_00}); failed == nil || failed.Code != auction.Over {
		t.Errorf("a bid that is late: %+v", failed)
	}
}
