// Package memory bounds what the requests under way hold together, so that neither many
// large ones nor clients that are slow to read can exhaust the process.
//
// A Budget is divided once, into parts that do not lend to each other: small requests, bodies
// that are being received, bodies at work, and answers that wait for their readers. So a
// small request never waits for a large one, and one that is at work never for one that is
// still being sent, which is what keeps them from waiting for each other for ever.
//
// A Claim is what one request holds of it. A body waits for its part, for a few seconds; what
// would wait longer is refused with kind Unavailable and can be sent again. An answer does
// not wait, for it is in memory already: it fits or is refused.
package memory
