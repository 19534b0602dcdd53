package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// A piece is a document of a fenced block of YAML, of which a block may have several.
type piece struct {
	where string
	doc   map[string]any
}

// pieces parses the fenced blocks of YAML and JSON in the documents.
func pieces(t *testing.T) (all []piece) {
	t.Helper()
	files, err := filepath.Glob(docs + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fencedBlock.FindAllStringSubmatchIndex(string(text), -1) {
			language, block := string(text[m[2]:m[3]]), string(text[m[4]:m[5]])
			where := fmt.Sprintf("%s:%d", filepath.Base(file), strings.Count(string(text[:m[0]]), "\n")+1)
			switch language {
			case "json":
				// There may be several values, one behind the other.
				d := jsontext.NewDecoder(strings.NewReader(block))
				for {
					v, err := d.ReadValue()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Errorf("%s: %v", where, err)
						break
					}
					var doc map[string]any
					if json.Unmarshal(v, &doc) == nil {
						all = append(all, piece{where, doc})
					}
				}
			case "yaml":
				d := yaml.NewDecoder(strings.NewReader(block))
				for {
					var value any
					if err := d.Decode(&value); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						t.Errorf("%s: %v", where, err)
						break
					}
					if doc, ok := value.(map[string]any); ok {
						all = append(all, piece{where, doc})
					}
				}
			}
		}
	}
	return all
}

// at finds what is at a path, such as "spec.ports.0.port"; nil if there is nothing.
func at(v any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func list(v any, path string) []any {
	l, _ := at(v, path).([]any)
	return l
}

func texts(v []any) (all []string) {
	for _, x := range v {
		all = append(all, fmt.Sprint(x))
	}
	return all
}

const (
	servePort   = 3000 // of the examples, and of --addr by default
	clusterPort = 6222 // of --cluster-listen by default
)

// serveArgs parses the arguments of "sockeye serve" in a configuration.
func serveArgs(t *testing.T, where string, args []string) *serveCommand {
	t.Helper()
	var c commands
	parser := newParser(&c, streams{io.Discard, io.Discard}, func(int) {})
	if len(args) == 0 || args[0] != "sockeye" {
		t.Errorf("%s: the command is %q", where, args)
		return &c.Serve
	}
	if _, err := parser.Parse(args[1:]); err != nil {
		t.Errorf("%s: %q: %v", where, args, err)
	}
	if !strings.HasSuffix(c.Serve.Addr, fmt.Sprint(":", servePort)) {
		t.Errorf("%s: serves at %s", where, c.Serve.Addr)
	}
	for _, peer := range c.Serve.Cluster {
		if !strings.HasSuffix(peer, fmt.Sprint(":", clusterPort)) {
			t.Errorf("%s: a peer at %s", where, peer)
		}
	}
	if _, err := c.Serve.networks(); err != nil {
		t.Errorf("%s: %v", where, err)
	}
	return &c.Serve
}

// Every snippet of YAML and JSON in the documents can be parsed, and those of Kubernetes, Compose, Traefik and
// CloudFormation fit each other and what "sockeye serve" does.
func TestDocumentedConfigurations(t *testing.T) {
	all := pieces(t)
	kinds := map[string]string{
		"Deployment": "apps/v1", "Service": "v1", "Ingress": "networking.k8s.io/v1", "NetworkPolicy": "networking.k8s.io/v1",
	}
	found := map[string]int{}
	for _, p := range all {
		kind, _ := p.doc["kind"].(string)
		switch {
		case kind != "":
			found[kind]++
			if kinds[kind] == "" || p.doc["apiVersion"] != kinds[kind] {
				t.Errorf("%s: %v %v", p.where, p.doc["apiVersion"], kind)
			}
			if name, _ := at(p.doc, "metadata.name").(string); !strings.HasPrefix(name, "sockeye") {
				t.Errorf("%s: is called %q", p.where, name)
			}
		case p.doc["services"] != nil:
			found["Compose"]++
			checkCompose(t, p)
		case p.doc["http"] != nil:
			found["Traefik"]++
			for _, s := range list(p.doc, "http.services.app.loadBalancer.servers") {
				if u := fmt.Sprint(at(s, "url")); !strings.HasSuffix(u, fmt.Sprint(":", servePort)) {
					t.Errorf("%s: a server at %s", p.where, u)
				}
			}
			checkHealth(t, p.where, at(p.doc, "http.services.app.loadBalancer.healthCheck.path"))
		case p.doc["Resources"] != nil:
			found["CloudFormation"]++
			checkCloudFormation(t, p)
		}
		switch kind {
		case "Deployment":
			checkDeployment(t, p, all)
		case "Ingress":
			for _, path := range list(p.doc, "spec.rules.0.http.paths") {
				if name, port := at(path, "backend.service.name"), at(path, "backend.service.port.name"); name != "sockeye" || port != "http" {
					t.Errorf("%s: leads to port %v of %v", p.where, port, name)
				}
			}
		case "Service":
			for _, port := range list(p.doc, "spec.ports") {
				if at(port, "targetPort") != at(port, "name") || at(p.doc, "spec.selector.app") != "sockeye" {
					t.Errorf("%s: port %v", p.where, port)
				}
				if at(port, "name") == "cluster" && at(port, "port") != clusterPort {
					t.Errorf("%s: the servers look for port %d", p.where, clusterPort)
				}
			}
		case "NetworkPolicy":
			var ports []int
			for _, rule := range list(p.doc, "spec.ingress") {
				for _, port := range list(rule, "ports") {
					n, _ := at(port, "port").(int)
					ports = append(ports, n)
				}
			}
			if !slices.Equal(ports, []int{servePort, clusterPort, servePort}) {
				t.Errorf("%s: ports %v", p.where, ports)
			}
		}
	}
	for kind, least := range map[string]int{
		"Deployment": 1, "Service": 3, "Ingress": 3, "NetworkPolicy": 1, "Compose": 1, "Traefik": 1, "CloudFormation": 2,
	} {
		if found[kind] < least {
			t.Errorf("%d times %s, want %d or more", found[kind], kind, least)
		}
	}
}

func checkHealth(t *testing.T, where string, path any) {
	t.Helper()
	d, err := newDemo(demoOptions{path: "/socket.io/", log: quietLog})
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if status := statusOf(d, fmt.Sprint(path)); status != 200 {
		t.Errorf("%s: %v answers %d", where, path, status)
	}
}

// checkDeployment checks that the ports, probes and times of the pods are those of the command in them, and that the name
// by which they find each other is that of a Service.
func checkDeployment(t *testing.T, p piece, all []piece) {
	t.Helper()
	const c = "spec.template.spec.containers.0."
	args := append(texts(list(p.doc, c+"command")), texts(list(p.doc, c+"args"))...)
	serve := serveArgs(t, p.where, args)
	ports := map[any]any{}
	for _, port := range list(p.doc, c+"ports") {
		ports[at(port, "name")] = at(port, "containerPort")
	}
	if ports["http"] != servePort || ports["cluster"] != clusterPort || len(ports) != 2 {
		t.Errorf("%s: ports %v", p.where, ports)
	}
	for probe, want := range map[string]string{"readinessProbe": "/readyz", "livenessProbe": "/healthz"} {
		path := at(p.doc, c+probe+".httpGet.path")
		if path != want || at(p.doc, c+probe+".httpGet.port") != "http" {
			t.Errorf("%s: the %s asks %v", p.where, probe, path)
		}
		checkHealth(t, p.where, path)
	}
	pause, _ := at(p.doc, c+"lifecycle.preStop.sleep.seconds").(int)
	grace, _ := at(p.doc, "spec.template.spec.terminationGracePeriodSeconds").(int)
	if need := time.Duration(pause)*time.Second + serve.Drain + 5*time.Second; time.Duration(grace)*time.Second < need {
		t.Errorf("%s: a grace period of %d s, but stopping takes up to %v", p.where, grace, need)
	}
	if at(p.doc, "spec.selector.matchLabels.app") != at(p.doc, "spec.template.metadata.labels.app") {
		t.Errorf("%s: the selector does not select its pods", p.where)
	}
	for _, peer := range serve.Cluster {
		host := strings.TrimPrefix(strings.TrimSuffix(peer, fmt.Sprint(":", clusterPort)), "nats://")
		if !slices.ContainsFunc(all, func(p piece) bool {
			return p.doc["kind"] == "Service" && at(p.doc, "metadata.name") == host && at(p.doc, "spec.clusterIP") == "None" &&
				at(p.doc, "spec.publishNotReadyAddresses") == true
		}) {
			t.Errorf("%s: no headless Service is called %s", p.where, host)
		}
	}
}

func checkCompose(t *testing.T, p piece) {
	t.Helper()
	serve := serveArgs(t, p.where, texts(list(p.doc, "services.app.command")))
	grace, err := time.ParseDuration(fmt.Sprint(at(p.doc, "services.app.stop_grace_period")))
	if err != nil || grace < serve.Drain+5*time.Second {
		t.Errorf("%s: a grace period of %v, but draining takes %v", p.where, grace, serve.Drain)
	}
	labels, _ := at(p.doc, "services.app.labels").(map[string]any)
	if port := labels["traefik.http.services.app.loadbalancer.server.port"]; port != strconv.Itoa(servePort) {
		t.Errorf("%s: port %v", p.where, port)
	}
	checkHealth(t, p.where, labels["traefik.http.services.app.loadbalancer.healthcheck.path"])
}

func checkCloudFormation(t *testing.T, p piece) {
	t.Helper()
	group := at(p.doc, "Resources.Servers.Properties")
	if at(group, "Port") != servePort {
		t.Errorf("%s: port %v", p.where, at(group, "Port"))
	}
	checkHealth(t, p.where, at(group, "HealthCheckPath"))
	attributes := map[any]any{}
	for _, a := range list(group, "TargetGroupAttributes") {
		attributes[at(a, "Key")] = at(a, "Value")
	}
	// The command lines beside say --drain 60s.
	delay, _ := strconv.Atoi(fmt.Sprint(attributes["deregistration_delay.timeout_seconds"]))
	if delay <= 60 {
		t.Errorf("%s: a deregistration delay of %d s", p.where, delay)
	}
	if at(p.doc, "Resources.Balancer.Properties.Type") == "network" &&
		attributes["target_health_state.unhealthy.connection_termination.enabled"] != "false" {
		t.Errorf("%s: draining is a cut", p.where)
	}
}

var quietLog = slog.New(slog.DiscardHandler)

func statusOf(h http.Handler, path string) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code
}
