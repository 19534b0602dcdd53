// Package load is "sockeye load": many simulated clients that follow scenarios, and an honest account of what came of it.
//
// A [Plan] says what is to be done; it comes from flags or from a YAML file ([ReadPlan]). [Run] does it and returns a
// [Result], which can be printed as a table, as JSON or as a page of HTML, and which checks are held against.
//
// A client at rest costs what its connection costs, a timer and a few hundred bytes: between two steps of its scenario it
// has no goroutine. A goroutine exists while a step runs, that is while a connect or an acknowledgement is awaited.
//
// Latencies are measured from when something was due, not from when it was done. A client whose server hangs for ten
// seconds sends less in that time; measured from the sending, a single slow answer would stand for all that should have
// been asked meanwhile.
package load
