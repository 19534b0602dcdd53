module github.com/sockeye-io/sockeye/test/interop

go 1.26.0

require (
	github.com/chromedp/cdproto v0.159.2
	github.com/chromedp/chromedp v0.23.0
	github.com/gobwas/ws v1.5.0
	github.com/pires/go-proxyproto v0.15.0
	github.com/sockeye-io/sockeye v0.0.0
	go.uber.org/goleak v1.3.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/pgx/v5 v5.12.0 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

require (
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/redis/go-redis/v9 v9.23.0
	github.com/sockeye-io/sockeye/adapter/postgres v0.0.0
	github.com/sockeye-io/sockeye/adapter/redis v0.0.0-00010101000000-000000000000
)

replace github.com/sockeye-io/sockeye => ../..

replace github.com/sockeye-io/sockeye/adapter/postgres => ../../adapter/postgres

replace github.com/sockeye-io/sockeye/adapter/redis => ../../adapter/redis
