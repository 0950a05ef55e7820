package config

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

const witnessKey = "w.example/1+5d1e4a8c+BAAA"

func TestWitnesses(t *testing.T) {
	for name, value := range map[string]string{
		"no URL": witnessKey, "no key": "https://w.example", "a key that is none": witnessKey + " https://w.example", "no TLS": witnessKey + " http://w.example", "three words": "a b c", "an empty pair": ",",
	} {
		if _, err := Load([]string{"AFTERCARE_AUDIT_WITNESSES=" + value}, ""); err == nil || !strings.HasPrefix(err.Error(), "AFTERCARE_AUDIT_WITNESSES: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := Load([]string{"AFTERCARE_AUDIT_WITNESSES=" + strings.ReplaceAll("KEY https://w.example/a, KEY http://127.0.0.1:9/b", "KEY", realKey(t))}, "")
	if err != nil || len(c.AuditWitnesses) != 2 || c.AuditWitnesses[1].URL != "http://127.0.0.1:9/b" {
		t.Errorf("%+v, %v", c.AuditWitnesses, err)
	}
}

// realKey is the key of a witness.
func realKey(t *testing.T) string {
	t.Helper()
	data := append([]byte{4}, make([]byte, 32)...)
	sum := sha256.Sum256(append([]byte("w.example/1\n"), data...))
	return fmt.Sprintf("w.example/1+%x+%s", sum[:4], base64.StdEncoding.EncodeToString(data))
}
