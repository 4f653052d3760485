package serve

import (
	"net"
	"strconv"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Place is where a component runs, as its Setup needs to know it.
type Place struct {
	// Namespace is the component's own.
	Namespace string
	// Only is the one namespace that the component looks at; empty is all.
	Only string

	service, host string
	port          int
	authority     func() []byte
}

func newPlace(o *Options, authority func() []byte) Place {
	return Place{Namespace: o.OwnNamespace, Only: o.Namespace, service: o.ServiceName, host: o.WebhookHost, port: o.WebhookPort, authority: authority}
}

// Reserved are the namespaces of the cluster's own machinery and of the component: the API server asks it about no pod there.
func (p Place) Reserved() []string {
	return []string{metav1.NamespaceSystem, metav1.NamespacePublic, p.Namespace}
}

// ClientConfig says how the API server calls the component at a path: through its Service, or by the host of WEBHOOK_HOST.
// ok is false as long as there is no certificate to trust, and then nothing should call.
func (p Place) ClientConfig(path string) (config admissionregistrationv1.WebhookClientConfig, ok bool) {
	config.CABundle = p.authority()
	if p.host != "" {
		url := "https://" + net.JoinHostPort(p.host, strconv.Itoa(p.port)) + path
		config.URL = &url
	} else {
		port := int32(443)
		config.Service = &admissionregistrationv1.ServiceReference{Namespace: p.Namespace, Name: p.service, Path: &path, Port: &port}
	}
	return config, len(config.CABundle) > 0
}
