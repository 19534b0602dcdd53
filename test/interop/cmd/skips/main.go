// Command skips prints the summary of a report that the interoperability tests wrote to the file named by
// SOCKEYE_SKIPS: what they ran with, and what was skipped for want of what.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/sockeye-io/sockeye/test/interop/kit"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: skips FILE")
		os.Exit(2)
	}
	f, err := os.Open(os.Args[1])
	if os.IsNotExist(err) {
		// No test needed anything foreign, or none ran: nothing was recorded.
		fmt.Println("Nothing was skipped.")
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer f.Close()
	if err := summarise(os.Stdout, f); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func summarise(w io.Writer, r io.Reader) error {
	var used []string
	skipped := map[string][]string{} // reason → tests
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e kit.Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("report: %w", err)
		}
		switch {
		case e.Used != "":
			used = append(used, e.Used)
		case e.Skipped != "":
			skipped[e.Skipped] = append(skipped[e.Skipped], e.Test)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	slices.Sort(used)
	used = slices.Compact(used)
	if len(used) > 0 {
		fmt.Fprintln(w, "Ran with:")
		for _, u := range used {
			fmt.Fprintln(w, "  "+u)
		}
	}
	if len(skipped) == 0 {
		fmt.Fprintln(w, "Nothing was skipped.")
		return nil
	}
	fmt.Fprintln(w, "Skipped:")
	reasons := make([]string, 0, len(skipped))
	for reason := range skipped {
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	for _, reason := range reasons {
		tests := skipped[reason]
		slices.Sort(tests)
		tests = slices.Compact(tests)
		fmt.Fprintf(w, "  %s\n", reason)
		for _, test := range tests {
			fmt.Fprintf(w, "    %s\n", test)
		}
	}
	return nil
}
