// Command image writes a container image of static binaries and files as an OCI archive, without a daemon, a registry or root. What goes in decides
// every byte of it: times, owners and modes of the files on disk do not.
//
//	image -name ghcr.io/sluice-otel/sluice:0.1.0 -out bin/sluice-image.tar -user 65532:65532 -entrypoint /otelcol \
//	  -layer /etc/ssl/certs/ca-certificates.crt=@ca-certificates -layer /otelcol=bin/otelcol -layer '/etc/otelcol/=configs/*.yaml,/var/lib/sluice/='
//
// Each -layer is one layer, a comma-separated list of DESTINATION=SOURCE:
//
//	/otelcol=bin/otelcol         a file
//	/etc/otelcol/=configs/*.yaml each file that matches goes into the folder; no match is an error
//	/data/=testdata              all files of a folder
//	/var/lib/sluice/=            an empty folder that belongs to -user
//	/ca.crt=@ca-certificates     the roots that browsers trust, as go.mod pins them
//
// {arch} in a source is the platform's architecture.
//
//	image sbom -binary bin/otelcol -module distro -version 0.1.0 -out bin/otelcol.cdx.json
//
// writes a bill of materials of a Go binary.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

type options struct {
	name, out, platforms, user, created string
	gzip                                int
	entrypoint, cmd, env, labels        list
	layers                              list
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "sbom" {
		exit(sbom(os.Args[2:]))
	}
	o := flags(flag.CommandLine)
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "image: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	exit(run(o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func flags(f *flag.FlagSet) *options {
	var o options
	f.StringVar(&o.name, "name", "", "name of the image with its tag")
	f.StringVar(&o.out, "out", "", "archive to write")
	f.StringVar(&o.platforms, "platform", "linux/amd64", "comma-separated; of several an index is made")
	f.StringVar(&o.user, "user", "65532:65532", "numeric user and group")
	f.StringVar(&o.created, "created", "1970-01-01T00:00:00Z", "time of creation that the image names, RFC 3339")
	f.IntVar(&o.gzip, "gzip", 6, "compression of the layers, 0 (none: quick, for tests) to 9")
	f.Var(&o.entrypoint, "entrypoint", "program; repeat for arguments that always come first")
	f.Var(&o.cmd, "cmd", "default argument; may be repeated")
	f.Var(&o.env, "env", "NAME=value; may be repeated")
	f.Var(&o.labels, "label", "name=value; may be repeated; an empty value leaves the label out")
	f.Var(&o.layers, "layer", "DESTINATION=SOURCE,…; may be repeated")
	return &o
}

func run(o *options) error {
	if o.name == "" || o.out == "" || len(o.layers) == 0 {
		return errors.New("-name, -out and -layer are needed")
	}
	if o.gzip < 0 || o.gzip > 9 {
		return fmt.Errorf("-gzip must be 0 to 9, got %d", o.gzip)
	}
	start := time.Now()
	result, err := build(o)
	if err != nil {
		return err
	}
	if err := result.write(o.out); err != nil {
		return err
	}
	fmt.Print(result.summary())
	info, err := os.Stat(o.out)
	if err != nil {
		return err
	}
	fmt.Printf("  %-8s %s, %.1f s\n", megabytes(info.Size()), o.out, time.Since(start).Seconds())
	return nil
}
