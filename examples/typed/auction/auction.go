// Package auction declares what the browser and the server say to each other, once, with its types. A Go client would
// import it too.
package auction

import (
	"time"

	"github.com/sockeye-io/sockeye/event"
)

var (
	// Place is a call: the bidder waits for the answer, which is a State or one of the errors below.
	Place = event.NewCall[Bid, State]("bid")
	// Look is a call without contents.
	Look = event.NewCall[struct{}, State]("look")
	// Changed is an event that the server sends to everybody.
	Changed = event.New[State]("changed")
	// Confirm is a call of the server: the bidder's page asks its user.
	Confirm = event.NewCall[Question, bool]("confirm")
)

// Codes of the errors that a bidder can get.
const (
	TooLow    = "too_low" // the data is a Minimum
	Over      = "over"
	Invalid   = "invalid"
	NotMeant  = "not_meant"
	NoAnswer  = "no_answer"
	maxBidder = 32
)

// A Bid is what somebody offers, in cents.
type Bid struct {
	Bidder string `json:"bidder"`
	Amount int64  `json:"amount"`
}

// Valid reports whether the server needs to look at the bid at all.
func (b Bid) Valid() bool {
	return len(b.Bidder) > 0 && len(b.Bidder) <= maxBidder && b.Amount > 0 && b.Amount < 1e12
}

// Minimum is the data of TooLow.
type Minimum struct {
	Minimum int64 `json:"minimum"`
}

// State is how things stand.
type State struct {
	Item   string    `json:"item"`
	Leader string    `json:"leader"`
	Amount int64     `json:"amount"`
	Ends   time.Time `json:"ends"`
}

// A Question is for the user.
type Question struct {
	Text string `json:"text"`
}
