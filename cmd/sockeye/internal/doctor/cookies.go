package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
)

// balancerCookies are those that say who set them.
var balancerCookies = map[string]string{
	"AWSALB": "AWS Application Load Balancer", "AWSALBCORS": "AWS Application Load Balancer", "AWSALBAPP": "AWS Application Load Balancer",
	"AWSELB": "AWS Classic Load Balancer", "AWSELBCORS": "AWS Classic Load Balancer",
	"INGRESSCOOKIE": "ingress-nginx", "SERVERID": "HAProxy", "ARRAffinity": "Azure App Service", "ARRAffinitySameSite": "Azure App Service",
	"GCLB": "Google Cloud Load Balancing", "__cf_bm": "Cloudflare", "_cfuvid": "Cloudflare", "io": "the Socket.IO server",
}

// examineCookies asks of every cookie that was set whether it will come back.
func (x *exam) examineCookies(_ context.Context, s *Step) {
	if len(x.cookies) == 0 {
		s.say("none are set")
		return
	}
	u := x.address(ask{transport: "polling"})
	var names []string
	for _, c := range x.cookies {
		if slices.Contains(names, c.Name) {
			continue
		}
		names = append(names, c.Name)
		by := ""
		if who := balancerCookies[c.Name]; who != "" {
			by = ", by " + who
		}
		s.evidence("%s%s", describeCookie(c), by)
		needed := slices.Contains(x.stickyBy, c.Name)
		jar, _ := cookiejar.New(nil) // fails for no input
		jar.SetCookies(u, []*http.Cookie{c})
		if returned := jar.Cookies(u); len(returned) == 0 {
			s.warning("cookie-rejected", fmt.Sprintf("The cookie %s is set in a way that it never comes back: %s.", c.Name, rejection(c, u.Scheme)),
				"Have its Domain, Path and Secure fit the URL.")
			continue
		}
		if needed && x.crossSite() && (c.SameSite != http.SameSiteNoneMode || !c.Secure) {
			s.problem("cookie-samesite", fmt.Sprintf("Pages of %s don't return the cookie %s, which sticky sessions need: it lacks SameSite=None; Secure.", x.opts.Origin, c.Name),
				"Add these attributes where the cookie is made, and withCredentials: true to the client.").
				config("HAProxy: cookie SERVERID insert indirect nocache secure attr \"SameSite=None\"")
		}
	}
	s.say("%s", strings.Join(names, ", "))
}

// rejection is the likely reason why a jar doesn't return the cookie.
func rejection(c *http.Cookie, scheme string) string {
	switch {
	case c.Secure && scheme == "http":
		return "it is Secure, and the URL is http"
	case c.MaxAge < 0:
		return "it is set to be deleted"
	case c.Domain != "":
		return "its Domain is " + c.Domain
	case c.Path != "":
		return "its Path is " + c.Path
	}
	return "it is not valid"
}
