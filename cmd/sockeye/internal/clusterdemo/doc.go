// Package clusterdemo runs three "sockeye serve" as one behind a load balancer that sends every request to the next, and
// lets somebody kill one of them and start it again while others watch: [Demo].
package clusterdemo
