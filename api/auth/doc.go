// Package auth says who asks: it makes a permission.Principal of a bearer token, or refuses it.
// And it issues tokens to programs, as SMART Backend Services ask
// (https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html).
//
// Some words. An issuer makes tokens: a hospital's identity provider, or this service itself. A
// source is where somebody's public keys come from, a URL, a file or a folder; what it gave last is
// a key set. A client is a program that is registered here, with its keys and scopes. An assertion
// is a token that a client signs to say who it is, and gets an access token for.
//
// Start at authority.go. bearer.go is the way of an access token, token.go that of an assertion.
// What a token gives is decided by package permission; here it is only read.
//
// A token is judged by the keys and rules of whoever it names as its issuer, never by what it says
// of its own keys. No token, and no part of one that was not verified, is written to a log or an
// answer.
package auth
