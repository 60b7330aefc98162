package vpn

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"seikan/internal/cloud/resource"
)

// An event as EventBridge delivers it (source aws.health, vpn §6.4).
type bridgeEvent struct {
	Version    string       `json:"version"`
	ID         string       `json:"id"`
	DetailType string       `json:"detail-type"`
	Source     string       `json:"source"`
	Account    string       `json:"account"`
	Time       string       `json:"time"`
	Region     string       `json:"region"`
	Resources  []string     `json:"resources"`
	Detail     healthDetail `json:"detail"`
}

type healthDetail struct {
	EventARN    string        `json:"eventArn"`
	Service     string        `json:"service"`
	Code        string        `json:"eventTypeCode"`
	Category    string        `json:"eventTypeCategory"`
	Scope       string        `json:"eventScopeCode"`
	Start       string        `json:"startTime"`
	End         string        `json:"endTime,omitempty"`
	Updated     string        `json:"lastUpdatedTime"`
	Status      string        `json:"statusCode"` // open, closed, upcoming
	Region      string        `json:"eventRegion"`
	Description []healthText  `json:"eventDescription"`
	Entities    []healthThing `json:"affectedEntities"`
	Page        string        `json:"page"`
	TotalPages  string        `json:"totalPages"`
	Account     string        `json:"affectedAccount"`
}

type healthText struct {
	Language string `json:"language"`
	Text     string `json:"latestDescription"`
}

type healthThing struct {
	Value   string `json:"entityValue"`
	Updated string `json:"lastUpdatedTime"`
}

// HealthEventJSON is an event as EventBridge delivers it to who: one line of JSON.
func HealthEventJSON(who resource.Account, e resource.HealthEvent) ([]byte, error) {
	// AWS writes these times as HTTP does.
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(http.TimeFormat)
	}
	status := "open"
	switch {
	case !e.End.IsZero():
		status = "closed"
	case e.Start.After(e.Updated):
		status = "upcoming"
	}
	return json.Marshal(bridgeEvent{
		Version: "0", ID: eventID(e), DetailType: "AWS Health Event", Source: "aws.health", Account: string(who),
		Time: e.Updated.UTC().Format(time.RFC3339), Region: resource.DefaultRegion, Resources: []string{string(e.Connection)},
		Detail: healthDetail{
			EventARN: e.ARN, Service: "VPN", Code: e.Code, Category: e.Category, Scope: "ACCOUNT_SPECIFIC",
			Start: stamp(e.Start), End: stamp(e.End), Updated: stamp(e.Updated), Status: status, Region: resource.DefaultRegion,
			Description: []healthText{{Language: "en_US", Text: e.Text}},
			Entities:    []healthThing{{Value: string(e.Connection), Updated: stamp(e.Updated)}},
			Page:        "1", TotalPages: "1", Account: string(who),
		},
	})
}

// eventID tells deliveries apart: a new one when the event is updated (RFC 9562
// section 5.8).
func eventID(e resource.HealthEvent) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", e.ARN, e.Updated.Unix()))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
