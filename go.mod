module github.com/sockeye-io/sockeye

go 1.26.0

require (
	github.com/go-json-experiment/json v1.27.2
	github.com/gobwas/httphead v0.1.0
	github.com/gobwas/ws v1.5.0
	go.uber.org/goleak v1.3.0
	pgregory.net/rapid v1.3.0
)
