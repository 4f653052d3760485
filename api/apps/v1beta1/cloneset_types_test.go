package v1beta1_test

import (
	"encoding/json"
	"testing"

	"kruise.io/kruise/api/apps/v1beta1"
)

func TestCountsInTheColumnsOfATableAreWrittenWhenTheyAreZero(t *testing.T) {
	text, err := json.Marshal(v1beta1.CloneSetStatus{})
	if err != nil {
		t.Fatal(err)
	}
	var status map[string]any
	if err := json.Unmarshal(text, &status); err != nil {
		t.Fatal(err)
	}
	for _, count := range []string{"replicas", "readyReplicas", "updatedReplicas", "updatedReadyReplicas", "updatedAvailableReplicas"} {
		if status[count] != 0.0 {
			t.Errorf("%s of an empty status is %v in %s: kubectl get would leave its column blank", count, status[count], text)
		}
	}
}
