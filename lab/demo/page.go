package main

import (
	"fmt"
	"html"
	"net/http"
	"strings"
	"time"
)

// page is what the server knows about itself.
type page struct {
	Version, Pod, Test string
	Started            time.Time
}

func (p page) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, p.html())
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, p.text())
	})
	return mux
}

// lines is the page's content, once for both of its forms.
func (p page) lines() [][2]string {
	return [][2]string{
		{"version", p.Version},
		{"pod", p.Pod},
		{"started", p.Started.UTC().Format(time.RFC3339)},
		{"test", p.Test},
	}
}

func (p page) text() string {
	var b strings.Builder
	for _, line := range p.lines() {
		fmt.Fprintf(&b, "%s: %s\n", line[0], line[1])
	}
	return b.String()
}

func (p page) html() string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<title>demo</title>\n<table>\n")
	for _, line := range p.lines() {
		fmt.Fprintf(&b, "<tr><th>%s</th><td>%s</td></tr>\n", line[0], html.EscapeString(line[1]))
	}
	b.WriteString("</table>\n")
	return b.String()
}
