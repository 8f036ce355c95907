package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/licensecheck"
)

// rootsModule is in the image as data, so no binary names it.
const rootsModule = "golang.org/x/crypto/x509roots/fallback"

// sbom writes a bill of materials of a Go binary: what the linker recorded in it, with the licenses that the modules' files hold. It has no time and no
// serial number, so that equal binaries have equal bills.
func sbom(args []string) error {
	f := flag.NewFlagSet("sbom", flag.ExitOnError)
	binary := f.String("binary", "", "Go binary")
	module := f.String("module", "", "folder of the module that it was built from; its modules are in Go's cache since then")
	version := f.String("version", "", "version of the product, of which the binary does not know")
	out := f.String("out", "", "file to write, CycloneDX JSON")
	_ = f.Parse(args) // ExitOnError
	if *binary == "" || *module == "" || *version == "" || *out == "" {
		return errors.New("sbom: -binary, -module, -version and -out are needed")
	}
	info, err := buildinfo.ReadFile(*binary)
	if err != nil {
		return err
	}
	modules := modulesOf(info, "v"+*version)
	dirs, err := moduleDirs(*module, modules)
	if err != nil {
		return err
	}
	bom, err := bill(info, modules, dirs, *version)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := cdx.NewBOMEncoder(&text, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return err
	}
	return os.WriteFile(*out, text.Bytes(), 0o644)
}

type module struct{ path, version, sum string }

// modulesOf lists the modules as they were linked. One that is replaced by a folder is part of the product and has its version.
func modulesOf(info *buildinfo.BuildInfo, version string) []module {
	var list []module
	for _, d := range info.Deps {
		m := module{d.Path, d.Version, d.Sum}
		if r := d.Replace; r != nil {
			if strings.HasPrefix(r.Path, ".") || strings.HasPrefix(r.Path, "/") {
				m.version = version
			} else {
				m = module{r.Path, r.Version, r.Sum}
			}
		}
		list = append(list, m)
	}
	return list
}

// moduleDirs asks Go where the modules' files are. The network is not needed: the build has read them.
func moduleDirs(folder string, modules []module) (map[string]string, error) {
	args := []string{"-C", folder, "list", "-m", "-json"}
	for _, m := range modules {
		args = append(args, m.path)
	}
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -m in %s: %w", folder, err)
	}
	dirs := map[string]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var m struct{ Path, Dir string }
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return dirs, nil
		} else if err != nil {
			return nil, err
		}
		dirs[m.Path] = m.Dir
	}
}

func bill(info *buildinfo.BuildInfo, modules []module, dirs map[string]string, version string) (*cdx.BOM, error) {
	bom := cdx.NewBOM()
	main := component(module{path: info.Main.Path, version: "v" + version})
	main.Type = cdx.ComponentTypeApplication
	bom.Metadata = &cdx.Metadata{Component: &main, Tools: &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "github.com/sluice-otel/sluice/deploy/image"}}}}

	list := []cdx.Component{component(module{path: "std", version: strings.TrimPrefix(info.GoVersion, "go")})}
	list[0].Description = "The Go standard library"
	for _, m := range modules {
		c := component(m)
		licenses, err := licensesIn(dirs[m.path])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.path, err)
		}
		if len(licenses) > 0 {
			c.Evidence = &cdx.Evidence{Licenses: &licenses} // found in its files; nobody has said that it is so
		}
		list = append(list, c)
	}
	if self, ok := debug.ReadBuildInfo(); ok {
		for _, d := range self.Deps {
			if d.Path == rootsModule {
				c := component(module{d.Path, d.Version, d.Sum})
				c.Type, c.Description = cdx.ComponentTypeData, "CA certificates in /etc/ssl/certs/ca-certificates.crt"
				list = append(list, c)
			}
		}
	}
	refs := make([]string, 0, len(list))
	for _, c := range list {
		refs = append(refs, c.BOMRef)
	}
	bom.Components = &list
	bom.Dependencies = &[]cdx.Dependency{{Ref: main.BOMRef, Dependencies: &refs}}
	return bom, nil
}

func component(m module) cdx.Component {
	purl := "pkg:golang/" + m.path + "@" + strings.ReplaceAll(m.version, "+", "%2B")
	c := cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: m.path, Version: m.version, PackageURL: purl}
	// go.sum's hash, which is over the files' hashes, in the way that other tools for Go give it.
	if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.sum, "h1:")); err == nil && len(sum) > 0 {
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
	}
	return c
}

var licenseFile = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying)`)

// licensesIn finds the licenses that cover most of a license file in a module's folder.
func licensesIn(dir string) (cdx.Licenses, error) {
	if dir == "" {
		return nil, errors.New("its files are not in Go's cache of modules: run `go mod download`")
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, f := range files {
		if !f.Type().IsRegular() || !licenseFile.MatchString(f.Name()) || strings.HasSuffix(f.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		if c := licensecheck.Scan(text); c.Percent >= 75 {
			for _, m := range c.Match {
				ids = append(ids, m.ID)
			}
		}
	}
	slices.Sort(ids)
	var licenses cdx.Licenses
	for _, id := range slices.Compact(ids) {
		licenses = append(licenses, cdx.LicenseChoice{License: &cdx.License{ID: id}})
	}
	return licenses, nil
}
