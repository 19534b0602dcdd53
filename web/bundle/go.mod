module github.com/sockeye-io/sockeye/web/bundle

go 1.26.0
