package backends

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Account is a ServiceAccount and a token for it, as a pod would be given.
type Account struct {
	Namespace  string
	Name       string
	Token      string // bearer token from a TokenRequest, good for 24 h
	TokenFile  string
	Kubeconfig string // file with the token, the CA and the namespace
}

// ServiceAccount makes a ServiceAccount and its namespace if they are missing, and a token. It may do nothing until a
// role is bound to it.
func (k *Kubernetes) ServiceAccount(tb testing.TB, namespace, name string) *Account {
	tb.Helper()
	k.Namespace(tb, namespace)
	path := "/api/v1/namespaces/" + namespace + "/serviceaccounts/" + name
	k.api.apply(tb, path, map[string]any{
		"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": name, "namespace": namespace},
	})
	request := k.api.json(tb, "POST", path+"/token", "application/json", map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
		"spec": map[string]any{"expirationSeconds": 24 * 60 * 60},
	})
	dir := tb.TempDir()
	a := &Account{
		Namespace: namespace, Name: name,
		Token:      request["status"].(map[string]any)["token"].(string),
		TokenFile:  filepath.Join(dir, "token"),
		Kubeconfig: filepath.Join(dir, "kubeconfig"),
	}
	must(tb, os.WriteFile(a.TokenFile, []byte(a.Token), 0o600))
	k.writeKubeconfig(tb, a.Kubeconfig, namespace, map[string]string{"token": a.Token})
	return a
}

// writeKubeconfig writes JSON, which every reader of a kubeconfig takes.
func (k *Kubernetes) writeKubeconfig(tb testing.TB, file, namespace string, user map[string]string) {
	tb.Helper()
	type object = map[string]any
	b, err := json.MarshalIndent(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"clusters": []object{{"name": "test", "cluster": object{"server": k.URL, "certificate-authority": k.CAFile}}},
		"users":    []object{{"name": "test", "user": user}},
		"contexts": []object{{"name": "test", "context": object{"cluster": "test", "user": "test", "namespace": namespace}}},
	}, "", "  ")
	must(tb, err)
	must(tb, os.WriteFile(file, b, 0o600))
}
