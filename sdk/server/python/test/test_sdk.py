import json
import os
import time
import unittest
import urllib.parse
import urllib.request

from roomservice_server import ApiError, Client, WebhookError, operator_token, read_webhook, user_sig

URL, DOOR, KEY = os.environ["SERVER_URL"], os.environ["DOOR_URL"], os.environ["OPERATOR_KEY"]
APP, SECRET_KEY = int(os.environ["SDK_APP_ID"]), os.environ["SECRET_KEY"]
HOOK = os.environ["WEBHOOK_BODY"].encode(), os.environ["WEBHOOK_SIGNATURE"], os.environ["WEBHOOK_SECRET"]


def weapp(call, query, body=None):
    """A call of the room protocol, as clients make it."""
    url = f"{URL}/weapp/live_room/{call}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, json.dumps(body or {}).encode(), timeout=30) as answer:
        return json.load(answer)


def log_in(user, sig):
    return weapp("login", {"sdkAppID": APP, "accountType": 0, "userID": user, "userSig": sig})


class Rooms(unittest.TestCase):
    def setUp(self):
        self.api = Client(URL, KEY)

    def test_a_room_from_its_beginning_to_its_end(self):
        room = self.api.create_room(kind="live", room_id="python", info="晚上好")
        self.assertEqual((room["roomID"], room["info"], room["members"]), ("python", "晚上好", []))
        user = f"python-{time.time_ns()}"
        session = log_in(user, user_sig(user, APP, SECRET_KEY))
        logged_in = {"userID": user, "token": session["token"]}
        entry = {"roomID": "python", "userID": user}
        entry["pushURL"] = weapp("get_push_url", logged_in, entry)["pushURL"]
        self.assertEqual(weapp("add_pusher", logged_in, entry)["code"], 0)
        changed = self.api.update_room("python", info="late", custom={"likes": 3})
        self.assertEqual((changed["info"], changed["custom"]), ("late", {"likes": 3}))
        self.assertIn("python", [one["roomID"] for one in self.api.list_rooms(kind="live", limit=200)["rooms"]])
        self.assertEqual([member["userID"] for member in self.api.list_members("python")], [user])
        self.api.kick_user("python", user, seconds=60, idempotency_key=f"kick-{user}")
        self.api.kick_user("python", user, seconds=60, idempotency_key=f"kick-{user}")
        # Its only member is out, and so the room is closed.
        with self.assertRaises(ApiError) as refused:
            self.api.list_members("python")
        self.assertEqual((refused.exception.status, refused.exception.code), (404, "no_room"))

    def test_a_key_makes_a_request_happen_once(self):
        self.api.create_room(kind="live", room_id="python-once")
        said = [self.api.send_message("python-once", user_id="ada", text="hi", idempotency_key="python-1") for _ in range(2)]
        self.assertEqual(said[0], said[1])
        self.assertEqual(len(self.api.list_messages("python-once")["messages"]), 1)
        with self.assertRaises(ApiError) as refused:
            self.api.send_message("python-once", user_id="ada", text="another", idempotency_key="python-1")
        self.assertEqual((refused.exception.status, refused.exception.code), (409, "key_reused"))
        ban = self.api.ban_user_in_room("python-once", "bob", seconds=600, reason="spam", idempotency_key="python-2")
        self.assertEqual((ban["userID"], ban["roomID"], ban["reason"]), ("bob", "python-once", "spam"))
        self.assertIn("python-once", [one.get("roomID") for one in self.api.list_bans()["bans"]])
        self.assertIsNone(self.api.unban_user_in_room("python-once", "bob"))

    def test_names_may_hold_anything(self):
        for name in ("python/a?b%c#d", "python..", "python+&="):
            self.api.create_room(kind="multi", room_id=name)
            self.assertEqual(self.api.get_room(name)["roomID"], name)
        for name in ("", ".", ".."):
            self.assertRaises(ValueError, self.api.close_room, name)

    def test_a_recording_is_read_as_it_comes(self):
        with self.api.get_recording_file(os.environ["RECORDING"]) as file:
            self.assertEqual(len(file.read()), int(os.environ["RECORDING_SIZE"]))
        self.assertRaises(ApiError, self.api.get_recording_file, "1_no_such.1.mp4")

    def test_what_may_be_sent_again_is(self):
        api = Client(DOOR, KEY)
        self.api.create_room(kind="live", room_id="python-door")
        self.assertEqual(api.get_room("python-door")["roomID"], "python-door")
        self.assertEqual(api.send_notice("python-door", text="soon", idempotency_key="python-3")["rooms"], 1)
        self.assertEqual(api.send_notice("python-door", text="soon", idempotency_key="running-python")["rooms"], 1)
        with self.assertRaises(ApiError) as refused:
            api.send_notice("python-door", text="soon", idempotency_key="wait-python")
        self.assertEqual(refused.exception.retry_after, 3600)
        with self.assertRaises(ApiError) as refused:
            api.send_notice("python-door", text="soon")
        self.assertEqual((refused.exception.code, refused.exception.retry_after), ("unavailable", 0))
        self.assertRaises(OSError, api.send_notice, "python-door", text="soon")
        with self.assertRaises(ApiError):
            Client(DOOR, KEY, retries=0).list_streams()


class Signatures(unittest.TestCase):
    def test_the_server_takes_a_user_sig(self):
        self.assertEqual(log_in("carol", user_sig("carol", APP, SECRET_KEY))["userID"], "carol")
        self.assertEqual(log_in("carol", user_sig("carol", APP, "another"))["code"], 7)
        self.assertEqual(log_in("carol", user_sig("carol", APP, SECRET_KEY, now=1_000_000))["code"], 7)
        self.assertRaises(ValueError, user_sig, "carol\nTLS.sdkappid:1", APP, SECRET_KEY)

    def test_a_session_of_the_api_is_good(self):
        session = Client(URL, KEY).create_session(user_id="carol")
        self.assertEqual(weapp("get_room_list", {"userID": "carol", "token": session["token"]}, {"cnt": 1, "index": 0})["code"], 0)

    def test_a_key_or_token_that_is_not_good_is_refused(self):
        over = operator_token(KEY, {"roomList": True}, now=1_000_000)
        for bad in ("not-a-key-of-this-server", operator_token("another key", {"roomList": True}), over):
            for call in (Client(URL, bad).list_rooms, lambda: Client(URL, bad).create_room(kind="live")):
                with self.assertRaises(ApiError) as refused:
                    call()
                self.assertEqual((refused.exception.status, refused.exception.code), (401, "unauthorised"))

    def test_a_token_allows_what_it_grants(self):
        api = Client(URL, operator_token(KEY, {"roomList": True}))
        self.assertIn("rooms", api.list_rooms())
        with self.assertRaises(ApiError) as refused:
            api.create_room(kind="live")
        self.assertEqual(refused.exception.status, 403)


class Webhooks(unittest.TestCase):
    def test_the_servers_own_is_read(self):
        event = read_webhook(*HOOK)
        self.assertEqual((event["event"], event["roomID"]), ("room_created", "tea"))

    def test_all_others_are_refused(self):
        body, signature, secret = HOOK
        now = int(signature[2:].split(",")[0])
        forged = [(body.replace(b"tea", b"tee"), signature, secret), (body, signature, "another secret"), (body, None, secret),
                  (body, signature.replace("t=", "t=1"), secret), (body, signature[:-2], secret), (body, f"t={now},v1=", secret)]
        for one in forged:
            self.assertRaises(WebhookError, read_webhook, *one)
        for moment in (now + 301, now - 301):
            self.assertRaises(WebhookError, read_webhook, *HOOK, now=moment)
        self.assertEqual(read_webhook(*HOOK, now=now + 299)["roomID"], "tea")


if __name__ == "__main__":
    unittest.main()
