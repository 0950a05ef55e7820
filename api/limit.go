package api

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"aftercare/api/recent"
	"aftercare/fhir"
	"aftercare/service"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"
)

// Rate is how many requests per second one caller may make for long, and how many at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// limits count the requests of callers. It is safe for concurrent use. nil counts nothing.
type limits struct {
	rate Rate
	by   *recent.Map[string, *rate.Limiter]
}

// maxCallers is how many callers are counted at a time; who was quiet for longest is forgotten.
const maxCallers = 20_000

func newLimits(r Rate) *limits {
	if r == (Rate{}) {
		return nil
	}
	return &limits{r, recent.New[string, *rate.Limiter](maxCallers)}
}

// ofAddress counts a request of whoever it is at an address, and says how long to wait if it is one
// too many. It is the address of the connection; what a proxy says of others anybody can say.
func (l *limits) ofAddress(r *http.Request) (wait time.Duration) {
	if l == nil {
		return 0
	}
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	ip := address.Addr().Unmap().WithZone("")
	if err == nil && ip.Is6() { // one subscriber has many
		if network, err := ip.Prefix(64); err == nil {
			ip = network.Addr()
		}
	}
	return l.count("address " + ip.String())
}

// ofCaller counts a request of a client, or of a person where the token names none.
func (l *limits) ofCaller(p service.Principal) (wait time.Duration) {
	if l == nil {
		return 0
	}
	who := p.Client
	if who == "" {
		who = "subject " + p.Subject
	}
	return l.count("issuer " + p.Issuer + " " + who)
}

func (l *limits) count(who string) time.Duration {
	limiter := l.by.GetOrPut(who, func() *rate.Limiter { return rate.NewLimiter(rate.Limit(l.rate.PerSecond), l.rate.Burst) })
	reserved := limiter.Reserve()
	wait := reserved.Delay()
	if wait > 0 {
		reserved.Cancel() // who is refused has used nothing
	}
	return wait
}

// throttle refuses a request that is one too many.
func (a *api) throttle(g *gin.Context, wait time.Duration) {
	g.Header("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	a.fail(g, fhir.Errorf(fhir.TooMany, "throttled", "", "There are too many requests; slow down."))
}
