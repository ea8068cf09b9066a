// The cluster's DNS: CoreDNS with the plugins that a test cluster needs, which builds in a fraction of the time of all.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

// Directives are served in this order.
func init() {
	dnsserver.Directives = []string{"bind", "ready", "errors", "kubernetes", "forward"}
}

func main() {
	coremain.Run()
}
