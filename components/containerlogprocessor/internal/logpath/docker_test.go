package logpath

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.v2.json"), []byte(text), 0o600))
	return dir
}

func TestReadDockerConfig(t *testing.T) {
	f := func(name string, want DockerConfig) {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		require.Contains(t, string(raw), "s3cr3t", "the case needs a secret to keep")
		got, err := ReadDockerConfig(writeConfig(t, string(raw)))
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.NotContains(t, fmt.Sprintf("%+v", got), "s3cr3t")

		// Cut short at any byte it is an error, one that gives nothing away either.
		dir := t.TempDir()
		for cut := range len(strings.TrimSpace(string(raw))) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "config.v2.json"), raw[:cut], 0o600))
			got, err := ReadDockerConfig(dir)
			require.ErrorContains(t, err, "decode ")
			assert.Zero(t, got)
			assert.NotContains(t, err.Error(), "s3cr3t")
		}
	}
	f("compose.json", DockerConfig{Name: "shop-cart-1", Image: "registry.example.com:5000/shop/cart:1.4.2"})
	f("kubernetes.json", DockerConfig{
		Name:      "k8s_cart_cart-6d4cf56db6-x2x8q_shop_" + uuid + "_2",
		Image:     "sha256:9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0",
		Namespace: "shop", Pod: "cart-6d4cf56db6-x2x8q", UID: uuid, Container: "cart",
	})
}

func TestReadDockerConfigText(t *testing.T) {
	f := func(text string, want DockerConfig) {
		t.Helper()
		got, err := ReadDockerConfig(writeConfig(t, text))
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	f(`{"Name":"/a"}`, DockerConfig{Name: "a"})
	f(`{"Name":"a/b","Config":null,"Image":"sha256:0"}`, DockerConfig{Name: "a/b"})
	f(`{"Name":"/a","Config":{"Labels":null,"Image":""}}`, DockerConfig{Name: "a"})
	f(`{"Name":"/a","Config":{"Labels":{"io.kubernetes.pod.uid":"`+hash+`"}}}`, DockerConfig{Name: "a", UID: hash, Static: true})
	// An image may carry labels, but not choose the pod.
	f(`{"Name":"/a","Config":{"Labels":{"io.kubernetes.pod.name":"cart","IO.Kubernetes.Pod.Name":"etcd","io.kubernetes.pod.namespacE":"kube-system"}}}`,
		DockerConfig{Name: "a", Pod: "cart"})
	f(`{"Name":"/a"}`+strings.Repeat(" ", maxDockerConfig-len(`{"Name":"/a"}`)), DockerConfig{Name: "a"})
}

func TestReadDockerConfigErrors(t *testing.T) {
	f := func(dir string, want ...string) {
		t.Helper()
		got, err := ReadDockerConfig(dir)
		assert.Zero(t, got)
		for _, want := range append(want, "config.v2.json") {
			require.ErrorContains(t, err, want)
		}
		assert.NotContains(t, err.Error(), "s3cr3t")
	}
	f(t.TempDir(), "mount all of Docker's containers directory")
	f(writeConfig(t, ""), "recreate the container")
	f(writeConfig(t, `s3cr3t`), "recreate the container")
	f(writeConfig(t, `{"Name":"/a","Config":"s3cr3t"}`), "recreate the container")
	f(writeConfig(t, `{"Name":"/a","Config":{"Labels":{"a":["s3cr3t"]}}}`), "recreate the container")
	f(writeConfig(t, `{"Name":"/a"} s3cr3t`), "recreate the container")
	f(writeConfig(t, `{"Config":{"Env":["A=s3cr3t"]}}`), "no Name")
	f(writeConfig(t, `null`), "no Name")
	f(writeConfig(t, strings.Repeat(" ", maxDockerConfig)+`{"Name":"/a"}`), "4194317 bytes", "shorten")

	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "config.v2.json"), 0o700))
	f(dir, "check the disk and the mount")

	// Permissions do not stop a test that runs as root, so only the advice is looked at.
	assert.Contains(t, adviceFor(&fs.PathError{Err: fs.ErrPermission}), "CAP_DAC_READ_SEARCH")
}

func TestSplitImage(t *testing.T) {
	f := func(image, name, tag string) {
		t.Helper()
		gotName, gotTag := SplitImage(image)
		assert.Equal(t, [2]string{name, tag}, [2]string{gotName, gotTag}, image)
	}
	f("", "", "")
	f("nginx", "nginx", "")
	f("nginx:1.27", "nginx", "1.27")
	f("library/nginx:1.27-alpine", "library/nginx", "1.27-alpine")
	f("registry.example.com:5000/shop/cart", "registry.example.com:5000/shop/cart", "")
	f("registry.example.com:5000/shop/cart:1.4.2", "registry.example.com:5000/shop/cart", "1.4.2")
	f("localhost:5000/cart", "localhost:5000/cart", "")
	f("[::1]:5000/cart:v1", "[::1]:5000/cart", "v1")
	f("[::1]:5000/cart", "[::1]:5000/cart", "")
	f("nginx@sha256:"+cid, "nginx", "")
	f("nginx:1.27@sha256:"+cid, "nginx", "1.27")
	f("localhost:5000/cart@sha256:"+cid, "localhost:5000/cart", "")
	f("localhost:5000/cart:v1@sha512:"+cid+cid, "localhost:5000/cart", "v1")
	f("sha256:"+cid, "", "")
	f(cid, "", "")
	f("sha256:"+cid[1:], "sha256", cid[1:]) // somebody's image of that name
	f("shop/"+cid, "shop/"+cid, "")
	f("nginx:", "nginx", "")
	f("@sha256:"+cid, "", "")
}
