package main

import (
	"slices"
	"testing"
)

func TestMembers(t *testing.T) {
	got, err := members([]byte(`{"code":"Patient","resource":[
		{"code":"Observation","param":["subject","performer"]},
		{"code":"Claim","param":["patient"]},
		{"code":"Goal","param":["patient"]},
		{"code":"Location"}]}`))
	if want := []string{"Goal patient", "Observation subject performer"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestMembersRefused(t *testing.T) {
	for name, text := range map[string]string{
		"broken JSON":            `{`,
		"another compartment":    `{"code":"Device","resource":[{"code":"Goal","param":["patient"]}]}`,
		"nothing that is served": `{"code":"Patient","resource":[{"code":"Claim","param":["patient"]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := members([]byte(text)); err == nil {
				t.Errorf("accepted: %q", got)
			}
		})
	}
}
