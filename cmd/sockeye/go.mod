module github.com/sockeye-io/sockeye/cmd/sockeye

go 1.26.0

require (
	github.com/HdrHistogram/hdrhistogram-go v1.4.0
	github.com/alecthomas/kong v1.17.0
	github.com/chromedp/cdproto v0.159.2
	github.com/chromedp/chromedp v0.23.0
	github.com/creack/pty v1.1.24
	github.com/go-json-experiment/json v1.27.2
	github.com/gobwas/ws v1.5.0
	github.com/nats-io/nats-server/v2 v2.15.2
	github.com/pires/go-proxyproto v0.15.0
	github.com/sockeye-io/sockeye v0.0.0
	github.com/sockeye-io/sockeye/adapter/nats v0.0.0
	github.com/sockeye-io/sockeye/adapter/postgres v0.0.0
	go.uber.org/goleak v1.3.0
	go.yaml.in/yaml/v3 v3.0.6
	golang.org/x/net v0.60.0
	golang.org/x/term v0.47.0
	pgregory.net/rapid v1.3.0
)

require (
	github.com/antithesishq/antithesis-sdk-go v0.8.0-default-no-op // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/pgx/v5 v5.12.0 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/minio/highwayhash v1.0.4 // indirect
	github.com/nats-io/jwt/v2 v2.8.2 // indirect
	github.com/nats-io/nats.go v1.55.0 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)

require (
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/redis/go-redis/v9 v9.23.0
	github.com/sockeye-io/sockeye/adapter/redis v0.0.0
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/sockeye-io/sockeye => ../..

replace github.com/sockeye-io/sockeye/adapter/nats => ../../adapter/nats

replace github.com/sockeye-io/sockeye/adapter/redis => ../../adapter/redis

replace github.com/sockeye-io/sockeye/adapter/postgres => ../../adapter/postgres
