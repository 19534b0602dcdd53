package main

import (
	"strings"
	"testing"
)

func TestSummarise(t *testing.T) {
	const report = `{"used":"node v20"}
{"test":"TestB","skipped":"chromium is not installed"}
{"used":"node v20"}
{"test":"TestA","skipped":"chromium is not installed"}
`
	const want = `Ran with:
  node v20
Skipped:
  chromium is not installed
    TestA
    TestB
`
	var got strings.Builder
	if err := summarise(&got, strings.NewReader(report)); err != nil {
		t.Fatal(err)
	}
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	got.Reset()
	if err := summarise(&got, strings.NewReader("")); err != nil || got.String() != "Nothing was skipped.\n" {
		t.Errorf("an empty report gives %q, %v", got.String(), err)
	}
}
