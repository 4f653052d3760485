package serve

import "testing"

func TestTheAPIServerCallsTheServiceOrTheHostOnceThereIsSomethingToTrust(t *testing.T) {
	var ca []byte
	o := parsed(t, map[string]string{"POD_NAMESPACE": "ops"})
	place := newPlace(o, func() []byte { return ca })
	if _, ok := place.ClientConfig("/x"); ok {
		t.Error("it calls although there is no certificate yet")
	}
	ca = []byte("CA")
	c, ok := place.ClientConfig("/x")
	if !ok || c.URL != nil || c.Service.Namespace != "ops" || c.Service.Name != "kruise-webhook-service" || *c.Service.Path != "/x" || *c.Service.Port != 443 || string(c.CABundle) != "CA" {
		t.Errorf("%+v, %t", c, ok)
	}
	o = parsed(t, map[string]string{"WEBHOOK_HOST": "example.org"})
	c, ok = newPlace(o, func() []byte { return ca }).ClientConfig("/x")
	if !ok || c.Service != nil || *c.URL != "https://example.org:9876/x" {
		t.Errorf("%+v, %t", c, ok)
	}
}
