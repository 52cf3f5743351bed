package roomservice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	server    = os.Getenv("SERVER_URL")
	door      = os.Getenv("DOOR_URL")
	key       = os.Getenv("OPERATOR_KEY")
	secretKey = os.Getenv("SECRET_KEY")
	hook      = []byte(os.Getenv("WEBHOOK_BODY"))
	signature = os.Getenv("WEBHOOK_SIGNATURE")
	secret    = os.Getenv("WEBHOOK_SECRET")
)

// weapp makes a call of the room protocol, as clients do.
func weapp(t *testing.T, call string, query url.Values, body any) map[string]any {
	t.Helper()
	text, err := json.Marshal(body)
	well(t, err)
	answer, err := http.Post(server+"/weapp/live_room/"+call+"?"+query.Encode(), "application/json", bytes.NewReader(text))
	well(t, err)
	defer answer.Body.Close()
	var found map[string]any
	well(t, json.NewDecoder(answer.Body).Decode(&found))
	return found
}

func app(t *testing.T) int64 {
	t.Helper()
	app, err := strconv.ParseInt(os.Getenv("SDK_APP_ID"), 10, 64)
	well(t, err)
	return app
}

func logIn(t *testing.T, user, secretKey string, lifetime time.Duration) map[string]any {
	t.Helper()
	sig, err := SignUserSig(user, app(t), secretKey, lifetime)
	well(t, err)
	query := url.Values{"sdkAppID": {fmt.Sprint(app(t))}, "accountType": {"0"}, "userID": {user}, "userSig": {sig}}
	return weapp(t, "login", query, struct{}{})
}

func well(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, found, wanted any) {
	t.Helper()
	if fmt.Sprint(found) != fmt.Sprint(wanted) {
		t.Fatalf("%v instead of %v", found, wanted)
	}
}

func refusedWith(t *testing.T, err error, status int, code string) *Error {
	t.Helper()
	var refused *Error
	if !errors.As(err, &refused) || refused.Status != status || refused.Code != code {
		t.Fatalf("%v instead of %d %s", err, status, code)
	}
	return refused
}

func TestARoomFromItsBeginningToItsEnd(t *testing.T) {
	ctx, api := context.Background(), NewClient(server, key)
	room, err := api.CreateRoom(ctx, NewRoom{Kind: RoomKindLive, RoomID: "go", Info: "晚上好"})
	well(t, err)
	same(t, []any{room.RoomID, room.Info, len(room.Members)}, []any{"go", "晚上好", 0})
	user := fmt.Sprintf("go-%d", time.Now().UnixNano())
	loggedIn := url.Values{"userID": {user}, "token": {fmt.Sprint(logIn(t, user, secretKey, time.Hour)["token"])}}
	entry := map[string]any{"roomID": "go", "userID": user}
	entry["pushURL"] = weapp(t, "get_push_url", loggedIn, entry)["pushURL"]
	same(t, weapp(t, "add_pusher", loggedIn, entry)["code"], 0)
	changed, err := api.UpdateRoom(ctx, "go", Change{Info: Ptr(""), Custom: map[string]any{"likes": 3}})
	well(t, err)
	same(t, []any{changed.Info, changed.Custom}, []any{"", map[string]any{"likes": 3}})
	rooms, err := api.ListRooms(ctx, ListRoomsQuery{Kind: RoomKindLive, Limit: 200})
	well(t, err)
	found := false
	for _, one := range rooms.Rooms {
		found = found || one.RoomID == "go"
	}
	same(t, found, true)
	members, err := api.ListMembers(ctx, "go")
	well(t, err)
	same(t, []any{len(members), members[0].UserID}, []any{1, user})
	for n := 0; n < 2; n++ {
		well(t, api.KickUser(ctx, "go", user, KickUserQuery{Seconds: 60}, IdempotencyKey("kick-"+user)))
	}
	// Its only member is out, and so the room is closed.
	_, err = api.ListMembers(ctx, "go")
	refusedWith(t, err, 404, "no_room")
}

func TestAKeyMakesARequestHappenOnce(t *testing.T) {
	ctx, api := context.Background(), NewClient(server, key)
	_, err := api.CreateRoom(ctx, NewRoom{Kind: RoomKindLive, RoomID: "go-once"})
	well(t, err)
	first, err := api.SendMessage(ctx, "go-once", NewMessage{UserID: "ada", Text: "hi"}, IdempotencyKey("go-1"))
	well(t, err)
	second, err := api.SendMessage(ctx, "go-once", NewMessage{UserID: "ada", Text: "hi"}, IdempotencyKey("go-1"))
	well(t, err)
	same(t, *first, *second)
	said, err := api.ListMessages(ctx, "go-once", ListMessagesQuery{})
	well(t, err)
	same(t, len(said.Messages), 1)
	_, err = api.SendMessage(ctx, "go-once", NewMessage{UserID: "ada", Text: "another"}, IdempotencyKey("go-1"))
	refusedWith(t, err, 409, "key_reused")
	ban, err := api.BanUserInRoom(ctx, "go-once", "bob", Measure{Seconds: Ptr[int64](600), Reason: "spam"}, IdempotencyKey("go-2"))
	well(t, err)
	same(t, []string{ban.UserID, ban.RoomID, ban.Reason}, []string{"bob", "go-once", "spam"})
	well(t, api.UnbanUserInRoom(ctx, "go-once", "bob"))
	if api.CloseRoom(ctx, "go-once", IdempotencyKey("not a key")) == nil {
		t.Fatal("that is no key")
	}
}

func TestNamesMayHoldAnything(t *testing.T) {
	ctx, api := context.Background(), NewClient(server, key)
	for _, name := range []string{"go/a?b%c#d", "go..", "go+&="} {
		_, err := api.CreateRoom(ctx, NewRoom{Kind: RoomKindMulti, RoomID: name})
		well(t, err)
		room, err := api.GetRoom(ctx, name)
		well(t, err)
		same(t, room.RoomID, name)
	}
	for _, name := range []string{"", ".", ".."} {
		if err := api.CloseRoom(ctx, name); err == nil || errors.As(err, new(*Error)) {
			t.Fatalf("%q was sent: %v", name, err)
		}
	}
}

func TestARecordingIsReadAsItComes(t *testing.T) {
	ctx, api := context.Background(), NewClient(server, key)
	file, err := api.GetRecordingFile(ctx, os.Getenv("RECORDING"))
	well(t, err)
	defer file.Close()
	size, err := io.Copy(io.Discard, file)
	well(t, err)
	same(t, size, os.Getenv("RECORDING_SIZE"))
	_, err = api.GetRecordingFile(ctx, "1_no_such.1.mp4")
	refusedWith(t, err, 404, "no_recording")
}

func TestWhatMayBeSentAgainIs(t *testing.T) {
	ctx, api, shaky := context.Background(), NewClient(server, key), NewClient(door, key)
	_, err := api.CreateRoom(ctx, NewRoom{Kind: RoomKindLive, RoomID: "go-door"})
	well(t, err)
	_, err = shaky.GetRoom(ctx, "go-door")
	well(t, err)
	for _, key := range []string{"go-3", "running-go"} {
		told, err := shaky.SendNotice(ctx, "go-door", Notice{Text: "soon"}, IdempotencyKey(key))
		well(t, err)
		same(t, told.Rooms, 1)
	}
	_, err = shaky.SendNotice(ctx, "go-door", Notice{Text: "soon"}, IdempotencyKey("wait-go"))
	same(t, refusedWith(t, err, 503, "unavailable").RetryAfter, time.Hour)
	_, err = shaky.SendNotice(ctx, "go-door", Notice{Text: "soon"})
	same(t, refusedWith(t, err, 503, "unavailable").RetryAfter, time.Duration(0))
	if _, err = shaky.SendNotice(ctx, "go-door", Notice{Text: "soon"}); err == nil || errors.As(err, new(*Error)) {
		t.Fatalf("the second was cut off: %v", err)
	}
	shaky.Retries = 0
	_, err = shaky.GetStats(ctx)
	refusedWith(t, err, 503, "unavailable")
}

func TestTheServerTakesAUserSig(t *testing.T) {
	same(t, logIn(t, "carol", secretKey, time.Hour)["userID"], "carol")
	same(t, logIn(t, "carol", "another", time.Hour)["code"], 7)
	same(t, logIn(t, "carol", secretKey, -time.Hour)["code"], 7)
	if _, err := SignUserSig("carol\nTLS.sdkappid:1", app(t), secretKey, time.Hour); err == nil {
		t.Fatal("that is no user")
	}
}

func TestASessionOfTheAPIIsGood(t *testing.T) {
	session, err := NewClient(server, key).CreateSession(context.Background(), Who{UserID: "carol"})
	well(t, err)
	query := url.Values{"userID": {"carol"}, "token": {session.Token}}
	same(t, weapp(t, "get_room_list", query, map[string]int{"cnt": 1, "index": 0})["code"], 0)
}

// In development mode whoever comes without a good token may do everything: that this one may not says that it is good.
func TestAKeyOrTokenThatIsNotGoodIsRefused(t *testing.T) {
	other, err := SignOperatorToken("another key", Grants{RoomList: true}, time.Hour)
	well(t, err)
	over, err := SignOperatorToken(key, Grants{RoomList: true}, -time.Hour)
	well(t, err)
	for _, bad := range []string{"not-a-key-of-this-server", other, over} {
		_, err = NewClient(server, bad).ListRooms(context.Background(), ListRoomsQuery{})
		refusedWith(t, err, 401, "unauthorised")
		_, err = NewClient(server, bad).CreateRoom(context.Background(), NewRoom{Kind: RoomKindLive})
		refusedWith(t, err, 401, "unauthorised")
	}
}

func TestATokenAllowsWhatItGrants(t *testing.T) {
	token, err := SignOperatorToken(key, Grants{RoomList: true}, time.Hour)
	well(t, err)
	api := NewClient(server, token)
	_, err = api.ListRooms(context.Background(), ListRoomsQuery{})
	well(t, err)
	_, err = api.CreateRoom(context.Background(), NewRoom{Kind: RoomKindLive})
	var refused *Error
	same(t, errors.As(err, &refused) && refused.Status == 403, true)
}

func TestTheServersOwnWebhookIsRead(t *testing.T) {
	event, err := ReadWebhook(hook, signature, secret)
	well(t, err)
	same(t, []string{event.Event, event.RoomID}, []string{"room_created", "tea"})
}

func TestAllOtherWebhooksAreRefused(t *testing.T) {
	moment, err := strconv.ParseInt(strings.TrimPrefix(strings.Split(signature, ",")[0], "t="), 10, 64)
	well(t, err)
	sent := time.Unix(moment, 0)
	forged := []struct {
		body              []byte
		signature, secret string
		now               time.Time
	}{
		{bytes.Replace(hook, []byte("tea"), []byte("tee"), 1), signature, secret, sent},
		{hook, signature, "another secret", sent},
		{hook, "", secret, sent},
		{hook, strings.Replace(signature, "t=", "t=1", 1), secret, sent},
		{hook, signature[:len(signature)-2], secret, sent},
		{hook, signature, secret, sent.Add(301 * time.Second)},
		{hook, signature, secret, sent.Add(-301 * time.Second)},
	}
	for _, one := range forged {
		if _, err := readWebhook(one.body, one.signature, one.secret, one.now); !errors.Is(err, ErrWebhook) {
			t.Fatalf("%q by %q: %v", one.body, one.signature, err)
		}
	}
	_, err = readWebhook(hook, signature, secret, sent.Add(299*time.Second))
	well(t, err)
}
