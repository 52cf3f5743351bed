package roomservice

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

var userPattern = regexp.MustCompile(`^[!#-&(-_a-~]{1,64}$`)

// SignUserSig makes what a client logs in with: a userSig of version 2, as Tencent's tls-sig-api-v2 makes it. secretKey is
// im.secretKey as it stands in the settings.
func SignUserSig(userID string, sdkAppID int64, secretKey string, lifetime time.Duration) (string, error) {
	if !userPattern.MatchString(userID) {
		return "", errors.New("roomservice: a user id is 1 to 64 of printable ASCII without spaces and quotes")
	}
	if secretKey == "" {
		return "", errors.New("roomservice: the secret key is empty")
	}
	now := time.Now().Unix()
	seconds := int64(lifetime / time.Second)
	mac := hmac.New(sha256.New, []byte(secretKey))
	fmt.Fprintf(mac, "TLS.identifier:%s\nTLS.sdkappid:%d\nTLS.time:%d\nTLS.expire:%d\n", userID, sdkAppID, now, seconds)
	text, err := json.Marshal(map[string]any{
		"TLS.ver":        "2.0",
		"TLS.identifier": userID,
		"TLS.sdkappid":   sdkAppID,
		"TLS.expire":     seconds,
		"TLS.time":       now,
		"TLS.sig":        base64.StdEncoding.EncodeToString(mac.Sum(nil)),
	})
	if err != nil {
		return "", err
	}
	var packed bytes.Buffer
	writer := zlib.NewWriter(&packed)
	if _, err := writer.Write(text); err != nil {
		return "", err
	}
	if err := writer.Close(); err != nil {
		return "", err
	}
	safe := strings.NewReplacer("+", "*", "/", "-", "=", "_")
	return safe.Replace(base64.StdEncoding.EncodeToString(packed.Bytes())), nil
}

// SignOperatorToken makes a short token for the operator API, signed with an operator's key. It lasts a day at most.
func SignOperatorToken(key string, grants Grants, lifetime time.Duration) (string, error) {
	if key == "" {
		return "", errors.New("roomservice: the operator's key is empty")
	}
	claims, err := json.Marshal(map[string]any{"exp": time.Now().Add(lifetime).Unix(), "video": grants})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(claims)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil)), nil
}
