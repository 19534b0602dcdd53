module github.com/sockeye-io/sockeye/examples

go 1.26.0

require (
	github.com/gobwas/ws v1.5.0
	github.com/sockeye-io/sockeye v0.0.0
)

require (
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/gobwas/httphead v0.1.0 // indirect
)

replace github.com/sockeye-io/sockeye => ..
