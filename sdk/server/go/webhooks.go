package roomservice

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"time"
)

// ErrWebhook is a request that is not from the server, or too old. Answer it with 401.
var ErrWebhook = errors.New("roomservice: this is no webhook of the server")

// Tolerance is how far a webhook's time may be from now.
const Tolerance = 5 * time.Minute

// Event is what happened. Raw has the members that only some events have.
type Event struct {
	ID    string `json:"id"`
	Event string `json:"event"`
	// Time is in Unix milliseconds.
	Time     int64           `json:"time"`
	RoomID   string          `json:"roomID"`
	RoomType string          `json:"roomType"`
	Seq      int64           `json:"seq"`
	UserID   string          `json:"userID"`
	StreamID string          `json:"streamID"`
	Reason   string          `json:"reason"`
	Raw      json.RawMessage `json:"-"`
}

var signaturePattern = regexp.MustCompile(`^t=([0-9]{1,12}),v1=([0-9a-f]{64})$`)

// ReadWebhook gives the event of a webhook: body is what came, byte by byte, signature the header
// X-RoomService-Signature. Every error of what is not the server's is ErrWebhook.
func ReadWebhook(body []byte, signature, secret string) (*Event, error) {
	return readWebhook(body, signature, secret, time.Now())
}

func readWebhook(body []byte, signature, secret string, now time.Time) (*Event, error) {
	if secret == "" {
		return nil, errors.New("roomservice: the secret of webhooks is empty")
	}
	fields := signaturePattern.FindStringSubmatch(signature)
	if fields == nil {
		return nil, ErrWebhook
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(fields[1] + "."))
	mac.Write(body)
	given, err := hex.DecodeString(fields[2])
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) {
		return nil, ErrWebhook
	}
	seconds, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return nil, ErrWebhook
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > Tolerance || age < -Tolerance {
		return nil, ErrWebhook
	}
	event := &Event{Raw: body}
	if err := json.Unmarshal(body, event); err != nil {
		return nil, err
	}
	return event, nil
}
