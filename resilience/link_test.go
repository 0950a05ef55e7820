package resilience

import (
	"net"
	"net/url"
	"sync"
	"testing"
)

// link is a piece of network between the service and a server. It can stand still, or break.
type link struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	moves   *sync.Cond
	still   bool
	refuses bool
	ended   bool
	open    map[net.Conn]bool
}

func newLink(t testing.TB, target string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener, target: target, open: map[net.Conn]bool{}}
	l.moves = sync.NewCond(&l.mu)
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			done.Go(func() { l.carry(c) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.set(func() { l.ended = true })
		l.cut()
		done.Wait()
	})
	return l
}

// url is that of a database, over the link. database is as postgrestest names it.
func (l *link) url(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	return "postgres://postgres@" + l.listener.Addr().String() + u.Path + "?sslmode=disable"
}

func (l *link) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	l.moves.Broadcast()
}

// stall lets nothing through until resume; what is under way waits.
func (l *link) stall()  { l.set(func() { l.still = true }) }
func (l *link) resume() { l.set(func() { l.still = false }) }

// refuse ends all connections, and every new one, until accept.
func (l *link) refuse() { l.set(func() { l.refuses = true }); l.cut() }
func (l *link) accept() { l.set(func() { l.refuses = false }) }

// cut ends all connections.
func (l *link) cut() {
	l.set(func() {
		for c := range l.open {
			c.Close()
		}
		clear(l.open)
	})
}

// keep adds connections to those that can be cut, unless there are to be none.
func (l *link) keep(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.still && !l.ended {
		l.moves.Wait()
	}
	if l.refuses || l.ended {
		return false
	}
	for _, c := range conns {
		l.open[c] = true
	}
	return true
}

func (l *link) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer far.Close()
	if !l.keep(near, far) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.copy(far, near) })
	both.Go(func() { l.copy(near, far) })
	both.Wait()
	l.set(func() { delete(l.open, near); delete(l.open, far) })
}

// copy carries bytes one way until either end is closed, and then closes both.
func (l *link) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		l.mu.Lock()
		for l.still && !l.ended {
			l.moves.Wait()
		}
		l.mu.Unlock()
		if _, e := to.Write(buffer[:n]); e != nil || err != nil {
			return
		}
	}
}
