package differential

import (
	"testing"

	"kruise.io/kruise/test/integration/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	apiserver.Main(m, &server, apiserver.Webhooks())
}
