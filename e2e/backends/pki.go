package backends

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pki is a cluster's certificate authority; every file it makes is in dir.
type pki struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newPKI writes ca.crt and the key pair that signs service account tokens: sa.key, sa.pub.
func newPKI(tb testing.TB, dir string) *pki {
	tb.Helper()
	p := &pki{dir: dir, key: newKey(tb)}
	ca := template("sluice-test-ca", nil)
	ca.IsCA, ca.BasicConstraintsValid = true, true
	ca.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, p.key.Public(), p.key)
	must(tb, err)
	p.cert, err = x509.ParseCertificate(der)
	must(tb, err)
	p.write(tb, "ca.crt", "CERTIFICATE", der)

	sa := newKey(tb)
	p.writeKey(tb, "sa.key", sa)
	pub, err := x509.MarshalPKIXPublicKey(sa.Public())
	must(tb, err)
	p.write(tb, "sa.pub", "PUBLIC KEY", pub)
	return p
}

// issue writes name.crt and name.key: a server's certificate when there are names or addresses, else a client's.
func (p *pki) issue(tb testing.TB, name, commonName string, groups []string, sans ...string) {
	tb.Helper()
	c := template(commonName, groups)
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for _, san := range sans {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if ip := net.ParseIP(san); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, san)
		}
	}
	key := newKey(tb)
	der, err := x509.CreateCertificate(rand.Reader, c, p.cert, key.Public(), p.key)
	must(tb, err)
	p.write(tb, name+".crt", "CERTIFICATE", der)
	p.writeKey(tb, name+".key", key)
}

func (p *pki) file(name string) string { return filepath.Join(p.dir, name) }

func (p *pki) writeKey(tb testing.TB, name string, key *ecdsa.PrivateKey) {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(tb, err)
	p.write(tb, name, "PRIVATE KEY", der)
}

func (p *pki) write(tb testing.TB, name, kind string, der []byte) {
	tb.Helper()
	must(tb, os.WriteFile(p.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // RSA would cost up to a second for each
	must(tb, err)
	return key
}

func template(commonName string, groups []string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // never fails
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName, Organization: groups},
		NotBefore:    time.Now().Add(-time.Minute), // for a clock that steps back
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
