module github.com/sockeye-io/sockeye/cmd/sockeye

go 1.26.0

require github.com/sockeye-io/sockeye v0.0.0

require (
	github.com/alecthomas/kong v1.17.0 // indirect
	github.com/chromedp/cdproto v0.159.0 // indirect
	github.com/chromedp/chromedp v0.23.0 // indirect
	github.com/go-json-experiment/json v1.27.2 // indirect
	go.uber.org/goleak v1.3.0 // indirect
)

replace github.com/sockeye-io/sockeye => ../..
