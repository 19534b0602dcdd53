throw new Error("the browser client has not been built yet: go run ./web/bundle");
