package kubectl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// The forms of output. The empty one is text for people.
const (
	formText = ""
	formJSON = "json"
	formYAML = "yaml"
)

func checkForm(form string) error {
	switch form {
	case formText, formJSON, formYAML:
		return nil
	default:
		return fmt.Errorf("--output is %q: it must be json or yaml, or left out", form)
	}
}

// print prints a value in a form. text makes the one for people.
func (p *plugin) print(form string, value any, text func() string) error {
	var out []byte
	var err error
	switch form {
	case formJSON:
		var buffer bytes.Buffer
		encoder := json.NewEncoder(&buffer)
		encoder.SetEscapeHTML(false) // images change by an arrow
		encoder.SetIndent("", "    ")
		err = encoder.Encode(value)
		out = buffer.Bytes()
	case formYAML:
		out, err = yaml.Marshal(value)
	default:
		out = []byte(text())
	}
	if err == nil {
		_, err = p.Out.Write(out)
	}
	return err
}

// ErrorText tells an error as kubectl does.
func ErrorText(err error) string {
	var status apierrors.APIStatus
	var request *url.Error
	switch {
	case errors.As(err, &status) && status.Status().Reason != "":
		s := status.Status()
		if apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) {
			return "Error from server (NotFound): the cluster does not know this kind: is kruise installed? " + s.Message
		}
		return fmt.Sprintf("Error from server (%s): %s", s.Reason, s.Message)
	case errors.As(err, &request):
		return fmt.Sprintf("Unable to connect to the server: %v", request.Err)
	default:
		return "error: " + err.Error()
	}
}
