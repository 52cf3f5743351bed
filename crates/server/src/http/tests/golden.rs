//! Transcripts of the wire for every kind of room and both generations of clients, held to the files in
//! `tests/golden`. `REGOLD=1` writes the files anew; what then differs is a change of the protocol.

use std::path::Path;

use super::*;

/// Takes down what is sent and what comes back, with what is random replaced by names.
struct Scribe<'a> {
    kit: &'a Kit,
    kind: &'a str,
    generation: Generation,
    tokens: Vec<(String, String)>,
    /// Random texts and what stands for them.
    names: Vec<(String, String)>,
    lines: Vec<Value>,
}

impl Scribe<'_> {
    /// The name that this generation has for a call.
    fn name<'n>(&self, first: &'n str) -> &'n str {
        match (self.generation, first) {
            (Generation::First, name) => name,
            (_, "get_push_url") => "get_anchor_url",
            (_, "get_pushers") => "get_anchors",
            (_, "add_pusher") => "add_anchor",
            (_, "delete_pusher") => "delete_anchor",
            (_, "pusher_heartbeat") => "anchor_heartbeat",
            (_, name) => name,
        }
    }

    fn plain(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let named = self.names.iter().fold(text.clone(), |text, (random, name)| text.replace(random, name));
                hide_secret(&named).into()
            }
            Value::Array(items) => items.iter().map(|v| self.plain(v)).collect(),
            Value::Object(fields) => fields.iter().map(|(k, v)| (k.clone(), self.plain(v))).collect(),
            other => other.clone(),
        }
    }

    /// From now on this stands for that.
    fn learn(&mut self, random: &Value, name: impl Into<String>) {
        self.names.push((random.as_str().unwrap().to_owned(), name.into()));
    }

    /// Puts names that were learnt since into the last lines.
    fn name_again(&mut self, lines: usize) {
        let first = self.lines.len() - lines;
        for line in first..self.lines.len() {
            self.lines[line] = self.plain(&self.lines[line]);
        }
    }

    fn note(&mut self, step: &str, who: &str, call: &str, sent: Value, answer: &Answer) -> Value {
        let mut line = json!({ "step": step, "call": call, "body": self.plain(&sent) });
        if !who.is_empty() {
            line["as"] = who.into();
        }
        if answer.status != StatusCode::OK {
            line["status"] = answer.status.as_u16().into();
        }
        let reply = match serde_json::from_slice(&answer.body) {
            Ok(reply) => reply,
            Err(_) => json!({ "type": answer.header("content-type"), "text": answer.text() }),
        };
        line["reply"] = self.plain(&reply);
        self.lines.push(line);
        reply
    }

    async fn get(&mut self, step: &str, path: &str) -> Value {
        let answer = self.kit.get(path).await;
        self.note(step, "", &format!("GET {path}"), Value::Null, &answer)
    }

    /// A call with a session and a JSON body.
    async fn call(&mut self, step: &str, who: &str, call: &str, body: Value) -> Value {
        self.send(step, who, call, "application/json", body.to_string(), body).await
    }

    /// The same with the caller's id in the body.
    async fn own(&mut self, step: &str, who: &str, call: &str, mut body: Value) -> Value {
        body["userID"] = who.into();
        self.call(step, who, call, body).await
    }

    async fn send(&mut self, step: &str, who: &str, call: &str, kind: &str, bytes: String, noted: Value) -> Value {
        // No two calls come at the same time: what is older is certain.
        self.kit.clock.pass(1);
        let token = self.tokens.iter().find(|(user, _)| user == who).map_or("", |(_, token)| token);
        let path = format!("/weapp/{}/{}", self.kind, self.name(call));
        let query = if who.is_empty() { String::new() } else { format!("?userID={who}&token={token}") };
        let answer = self.kit.post(&format!("{path}{query}"), kind, bytes).await;
        self.note(step, who, &format!("POST {path}"), noted, &answer)
    }

    /// A login with this query, which is noted too.
    async fn login(&mut self, step: &str, fields: &[(&str, &str)]) -> Value {
        let path = format!("/weapp/{}/login", self.kind);
        let query: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = self.kit.post(&format!("{path}?{}", query.join("&")), "application/json", "{}").await;
        let noted: Value = fields.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect();
        self.note(step, "", &format!("POST {path}?…"), noted, &answer)
    }

    async fn enter(&mut self, step: &str, who: &str, room: &Value, name: &str, avatar: &str, url: &Value) -> Value {
        let body = json!({ "roomID": room, "userName": name, "userAvatar": avatar, "pushURL": url });
        self.own(step, who, "add_pusher", body).await
    }

    async fn pushers(&mut self, step: &str, room: &Value) -> Value {
        self.call(step, "carol", "get_pushers", json!({ "roomID": room })).await
    }
}

/// `txSecret=0123…` without its digits.
fn hide_secret(text: &str) -> String {
    let mut parts = text.split("txSecret=");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        plain += &match digits {
            // Hidden already.
            0 => format!("txSecret={part}"),
            digits => format!("txSecret=<{digits} digits>{}", &part[digits..]),
        };
    }
    plain
}

/// The stream in a push URL.
fn stream(url: &Value) -> Value {
    url.as_str().and_then(|u| u.split("/live/").nth(1)?.split('?').next()).unwrap().into()
}

const ALL: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

/// Everybody logs in, and every way not to.
async fn sessions(s: &mut Scribe<'_>) {
    let info = s.kit.get("/weapp/utils/get_login_info").await.json();
    s.learn(&info["userID"], "<random user>");
    s.learn(&info["userSig"], "<userSig>");
    let again = s.get("get_login_info (random user)", "/weapp/utils/get_login_info").await;
    let last = s.lines.last_mut().unwrap();
    assert_ne!(again["userID"], info["userID"]);
    last["reply"]["userID"] = "<random user>".into();
    last["reply"]["userSig"] = "<userSig>".into();
    for user in ALL {
        let path = format!("/weapp/utils/get_login_info?userID={user}");
        let sig = s.kit.get(&path).await.json()["userSig"].clone();
        s.learn(&sig, format!("<userSig of {user}>"));
        s.get(&format!("get_login_info {user}"), &path).await;
        let generation = match s.generation {
            Generation::First => ("accountType", "14418"),
            Generation::Second => ("platform", "0"),
        };
        let sig = sig.as_str().unwrap().to_owned();
        let good = [("sdkAppID", "1400037025"), generation, ("userID", user), ("userSig", &sig)];
        let path = format!("/weapp/{}/login", s.kind);
        let query: Vec<String> = good.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = s.kit.post(&format!("{path}?{}", query.join("&")), "application/json", "{}").await;
        let token = answer.json()["token"].clone();
        s.learn(&token, format!("<token of {user}>"));
        s.tokens.push((user.into(), token.as_str().unwrap().into()));
        let noted = good.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect();
        s.note(&format!("login {user}"), "", &format!("POST {path}?…"), noted, &answer);
        if user == "alice" {
            for (at, (name, _)) in good.iter().enumerate() {
                let mut fields = good.to_vec();
                fields.remove(at);
                s.login(&format!("login without {name}"), &fields).await;
            }
            let mut other = good;
            other[0].1 = "1400000001";
            s.login("login to another app (2)", &other).await;
            other = good;
            other[2].1 = "mallory";
            s.login("login as another user (2)", &other).await;
            other = good;
            other[3].1 = "eJwAAAAA";
            s.login("login with a malformed userSig (1)", &other).await;
        }
    }
    s.call("no session", "", "get_room_list", json!({ "cnt": 20, "index": 0 })).await;
}

/// Rooms from the first URL to the last pusher's leave.
async fn rooms(s: &mut Scribe<'_>) -> Value {
    let mut urls = Vec::new();
    for user in ALL {
        let path = format!("get_push_url {user}");
        let answer = s.own(&path, user, "get_push_url", json!({})).await;
        urls.push(answer["pushURL"].clone());
        let random = stream(&answer["pushURL"]);
        s.learn(&random, format!("8525_{user}_<4 digits>"));
        let line = s.lines.len() - 1;
        s.lines[line] = s.plain(&s.lines[line]);
    }
    s.own("get_push_url with roomID", "alice", "get_push_url", json!({ "roomID": "stable" })).await;
    s.call("get_push_url of somebody else", "bob", "get_push_url", json!({ "userID": "alice" })).await;
    s.call("get_push_url without userID", "bob", "get_push_url", json!({})).await;

    let made =
        s.own("create_room (server picks roomID)", "alice", "create_room", json!({ "roomInfo": "my room" })).await;
    let room = made["roomID"].clone();
    s.learn(&room, "<room 1>");
    let line = s.lines.len() - 1;
    s.lines[line] = s.plain(&s.lines[line]);
    let fixed = json!({ "roomInfo": "second", "roomID": "fixed" });
    s.own("create_room (client roomID)", "alice", "create_room", fixed.clone()).await;
    s.own("create_room (same roomID again)", "alice", "create_room", fixed).await;
    s.own("create_room with roomName", "alice", "create_room", json!({ "roomName": "named", "roomID": "named" })).await;
    s.own("create_room without roomInfo", "alice", "create_room", json!({ "roomID": "untold" })).await;
    s.own("create_room with a long roomInfo", "alice", "create_room", json!({ "roomInfo": "x".repeat(1025) })).await;
    s.own("create_room with a bad roomID", "alice", "create_room", json!({ "roomInfo": "", "roomID": "a b" })).await;
    s.call("create_room as another", "bob", "create_room", json!({ "userID": "alice", "roomInfo": "" })).await;
    s.pushers("get_pushers (room not active yet)", &room).await;
    s.call("get_room_list (none active)", "carol", "get_room_list", json!({ "cnt": 20, "index": 0 })).await;

    s.enter("add_pusher creator", "alice", &room, "Alice", "pic1", &urls[0]).await;
    s.enter("add_pusher second", "bob", &room, "Bob", "pic2", &urls[1]).await;
    s.enter("add_pusher again (update)", "bob", &room, "Bobby", "pic3", &urls[1]).await;
    s.enter("add_pusher third", "carol", &room, "Carol", "pic4", &urls[2]).await;
    s.enter("add_pusher fourth", "dave", &room, "Dave", "pic5", &urls[3]).await;
    s.enter("add_pusher fifth (over maxMembers)", "erin", &room, "Erin", "pic6", &urls[4]).await;
    s.enter("add_pusher with somebody's stream", "erin", &"other".into(), "Erin", "pic6", &urls[3]).await;
    s.enter("add_pusher with an unsigned URL", "erin", &"other".into(), "E", "", &"rtmp://h/live/8525_x".into()).await;
    s.own("add_pusher without pushURL", "erin", "add_pusher", json!({ "roomID": "other" })).await;
    s.own("add_pusher without roomID", "erin", "add_pusher", json!({ "pushURL": urls[4] })).await;
    s.pushers("get_pushers", &room).await;

    let fresh = json!({ "roomID": "fresh", "userName": "Erin", "userAvatar": "http://x/p.png?v=1",
        "pushURL": urls[4], "roomInfo": "made by add_pusher" });
    s.own("add_pusher (no room, avatar has a \"?\")", "erin", "add_pusher", fresh).await;
    s.pushers("get_pushers (room made by add_pusher)", &"fresh".into()).await;
    s.call("get_room_list cnt=20 index=0", "carol", "get_room_list", json!({ "cnt": 20, "index": 0 })).await;
    s.call("get_room_list cnt=1 index=1", "carol", "get_room_list", json!({ "cnt": 1, "index": 1 })).await;
    s.call("get_room_list with numbers as text", "carol", "get_room_list", json!({ "cnt": "1", "index": "0" })).await;
    s.call("get_room_list beyond the end", "carol", "get_room_list", json!({ "cnt": 20, "index": 9 })).await;
    for (cnt, index) in [(json!(0), json!(0)), (json!(-1), json!(0)), (json!(1), json!(-1)), (json!("x"), json!(0))] {
        let body = json!({ "cnt": cnt, "index": index });
        s.call(&format!("get_room_list cnt={cnt} index={index}"), "carol", "get_room_list", body).await;
    }
    s.call("get_room_list without index", "carol", "get_room_list", json!({ "cnt": 20 })).await;

    s.own("pusher_heartbeat", "alice", "pusher_heartbeat", json!({ "roomID": room })).await;
    let seen = s.pushers("get_pushers with roomStatusCode", &room).await["roomStatusCode"].clone();
    let known = json!({ "roomID": room, "roomStatusCode": seen });
    s.own("pusher_heartbeat with the newest roomStatusCode", "alice", "pusher_heartbeat", known).await;
    let older = json!({ "roomID": room, "roomStatusCode": seen.as_i64().unwrap() - 1 });
    s.own("pusher_heartbeat with an older roomStatusCode", "alice", "pusher_heartbeat", older).await;
    let again = s.pushers("get_pushers after heartbeats", &room).await["roomStatusCode"].clone();
    assert_eq!(again, seen, "clients read it, and do not set it");
    s.own("pusher_heartbeat in no room", "alice", "pusher_heartbeat", json!({ "roomID": "nowhere" })).await;
    room
}

/// Finished recordings.
async fn records(s: &mut Scribe<'_>) {
    use ::rooms::recordings::finished::Elsewhere;
    s.call("get_record_list: none yet", "erin", "get_record_list", json!({})).await;
    for (n, user) in ["erin", "erin", "dave"].into_iter().enumerate() {
        let told = Elsewhere {
            stream: format!("8525_fresh_{user}"),
            id: format!("528589078424686993{n}"),
            url: format!("https://vod.example.com/{n}/f0.mp4"),
            started: Millis(START.0 - 60_000 * (1 + n as u64)),
            duration: 61_000,
            size: 9_749_353,
        };
        assert!(s.kit.app.rooms.recorded_elsewhere(&told).await.unwrap());
    }
    let page = s.call("get_record_list cnt=1", "erin", "get_record_list", json!({ "cnt": 1 })).await;
    let next = json!({ "cnt": 1, "cursor": page["cursor"] });
    s.call("get_record_list, the next page", "erin", "get_record_list", next).await;
    s.own("get_record_list of a room", "erin", "get_record_list", json!({ "roomID": "fresh", "cnt": "20" })).await;
    let others = json!({ "ownerID": "dave" });
    s.call("get_record_list of somebody else's (record.list = own)", "erin", "get_record_list", others).await;
    s.call("get_record_list cnt=0", "erin", "get_record_list", json!({ "cnt": 0 })).await;
    s.call("get_record_list as another", "erin", "get_record_list", json!({ "userID": "dave" })).await;
}

/// The calls of live rooms; other kinds do not have them.
async fn live(s: &mut Scribe<'_>, room: &Value) {
    if s.kind != "live_room" {
        for call in ["set_custom_field", "get_custom_info", "add_audience", "get_audiences", "merge_stream"] {
            s.own(&format!("{call} is of live_room only"), "carol", call, json!({ "roomID": room })).await;
        }
        return;
    }
    let fields = [
        ("inc (1)", json!({ "fieldName": "likes", "operation": "inc" })),
        ("inc (2)", json!({ "fieldName": "likes", "operation": "inc" })),
        ("dec", json!({ "fieldName": "likes", "operation": "dec" })),
        ("set value=42", json!({ "fieldName": "score", "operation": "set", "value": 42 })),
        ("set value=0", json!({ "fieldName": "score", "operation": "set", "value": 0 })),
        ("set text", json!({ "fieldName": "title", "operation": "set", "value": "春\"夏\"" })),
        ("set object", json!({ "fieldName": "more", "operation": "set", "value": { "a": [1, 2.5, null] } })),
        ("inc text", json!({ "fieldName": "title", "operation": "inc" })),
        ("set without value", json!({ "fieldName": "score", "operation": "set" })),
        ("unknown operation", json!({ "fieldName": "mul", "operation": "mul", "value": 2 })),
        ("without fieldName", json!({ "operation": "inc" })),
    ];
    for (step, mut body) in fields {
        body["roomID"] = room.clone();
        s.own(&format!("set_custom_field {step}"), "carol", "set_custom_field", body).await;
    }
    s.call("get_custom_info", "carol", "get_custom_info", json!({ "roomID": room })).await;
    s.pushers("get_pushers with custom", room).await;

    let info = |name: &str| json!({ "roomID": room, "userInfo": format!("{{\"nick\":\"{name}\"}}") });
    s.own("add_audience", "carol", "add_audience", info("Carol")).await;
    s.own("add_audience (same user again)", "carol", "add_audience", info("Carol2")).await;
    s.own("add_audience, the list full", "erin", "add_audience", info("Erin")).await;
    s.call("get_audiences", "carol", "get_audiences", json!({ "roomID": room })).await;
    s.call("get_room_list (audienceCount)", "carol", "get_room_list", json!({ "cnt": 1, "index": 0 })).await;
    s.own("delete_audience", "carol", "delete_audience", json!({ "roomID": room })).await;
    s.own("delete_audience (not there)", "carol", "delete_audience", json!({ "roomID": room })).await;
    s.call("get_audiences after delete", "carol", "get_audiences", json!({ "roomID": room })).await;
    s.own("add_audience in no room", "carol", "add_audience", json!({ "roomID": "nowhere" })).await;
    let long = json!({ "roomID": room, "userInfo": "x".repeat(4097) });
    s.own("add_audience with a long userInfo", "carol", "add_audience", long).await;
    s.call("add_audience as another", "carol", "add_audience", json!({ "roomID": room, "userID": "erin" })).await;

    let stop = json!({ "timestamp": 1_514_446_020, "eventId": 1_514_446_020, "interface": {
        "interfaceName": "Mix_StreamV2", "para": { "app_id": "1400037025",
        "interface": "mix_streamv2.start_mix_stream_advanced", "mix_stream_session_id": "8525_a",
        "output_stream_id": "8525_a",
        "input_stream_list": [{ "input_stream_id": "8525_a", "layout_params": { "image_layer": 1 } }] } } });
    for (step, params) in [
        ("JSON string", stop.to_string().into()),
        ("object", stop),
        ("bad JSON string", "{oops".into()),
        ("a number", json!(7)),
        ("nothing", Value::Null),
    ] {
        let body = json!({ "roomID": room, "mergeParams": params });
        s.own(&format!("merge_stream ({step})"), "alice", "merge_stream", body).await;
    }
    s.own("merge_stream in no room", "alice", "merge_stream", json!({ "roomID": "nowhere", "mergeParams": {} })).await;
    s.call("merge_stream as another", "bob", "merge_stream", json!({ "roomID": room, "userID": "alice" })).await;
}

/// Leaving, closing, and time passing.
async fn ends(s: &mut Scribe<'_>, room: &Value) {
    s.own("destroy_room by non-creator", "bob", "destroy_room", json!({ "roomID": room })).await;
    s.call("destroy_room in the creator's name", "bob", "destroy_room", json!({ "roomID": room, "userID": "alice" }))
        .await;
    s.call("delete_pusher of another", "bob", "delete_pusher", json!({ "roomID": room, "userID": "alice" })).await;
    s.own("delete_pusher (not a member)", "erin", "delete_pusher", json!({ "roomID": room })).await;
    s.own("delete_pusher second", "bob", "delete_pusher", json!({ "roomID": room })).await;
    s.own("pusher_heartbeat after leaving", "bob", "pusher_heartbeat", json!({ "roomID": room })).await;
    s.pushers("get_pushers after second left", room).await;
    s.own("destroy_room by creator", "alice", "destroy_room", json!({ "roomID": room })).await;
    s.pushers("get_pushers after destroy", room).await;
    if s.kind == "live_room" {
        s.call("get_custom_info after destroy", "carol", "get_custom_info", json!({ "roomID": room })).await;
        s.call("get_audiences after destroy", "carol", "get_audiences", json!({ "roomID": room })).await;
        let inc = json!({ "roomID": room, "fieldName": "likes", "operation": "inc" });
        s.call("set_custom_field no room", "carol", "set_custom_field", inc).await;
    }
    s.own("destroy_room before anyone entered", "alice", "destroy_room", json!({ "roomID": "fixed" })).await;
    s.own("destroy_room of nothing", "alice", "destroy_room", json!({ "roomID": "nowhere" })).await;

    let third: Value = "third".into();
    s.own("create_room (3)", "alice", "create_room", json!({ "roomInfo": "third", "roomID": third })).await;
    for user in ["alice", "bob"] {
        let answer = s.own(&format!("get_push_url {user} (3)"), user, "get_push_url", json!({ "roomID": third })).await;
        s.enter(&format!("add_pusher {user} (3)"), user, &third, user, "p", &answer["pushURL"]).await;
    }
    s.own("delete_pusher creator (3)", "alice", "delete_pusher", json!({ "roomID": third })).await;
    s.pushers("get_pushers after creator left (3)", &third).await;
    s.kit.pass(19_000).await;
    s.own("pusher_heartbeat after 19 s (3)", "bob", "pusher_heartbeat", json!({ "roomID": third })).await;
    s.kit.pass(1_000).await;
    s.pushers("get_pushers: of a room whose pusher is silent for 20 s", &"fresh".into()).await;
    s.pushers("get_pushers: bob sent a heartbeat (3)", &third).await;
    s.kit.pass(10_000).await;
    s.own(
        "create_room: the empty one of that id is gone after 30 s",
        "alice",
        "create_room",
        json!({ "roomInfo": "", "roomID": "fixed" }),
    )
    .await;
    s.kit.pass(10_000).await;
    s.call("get_room_list: nobody is left", "carol", "get_room_list", json!({ "cnt": 20, "index": 0 })).await;
}

/// Bodies as clients send them, and what is not of this protocol.
async fn wire(s: &mut Scribe<'_>) {
    const FORM: &str = "application/x-www-form-urlencoded";
    let form = "userID=alice&roomInfo=%E6%88%BF%E9%97%B4+1&roomID=form";
    s.send("a form", "alice", "create_room", FORM, form.into(), form.into()).await;
    let json = json!({ "userID": "alice", "roomInfo": "", "roomID": "xml" });
    s.send("JSON as text/xml", "alice", "create_room", "text/xml", json.to_string(), json.clone()).await;
    s.send("JSON as a form", "alice", "create_room", FORM, json.to_string(), json).await;
    let page = "cnt=20&index=0";
    s.send("a form of numbers", "alice", "get_room_list", FORM, page.into(), page.into()).await;
    let twice = "cnt=20&cnt=30&index=0";
    s.send("a form with a field twice", "alice", "get_room_list", FORM, twice.into(), twice.into()).await;
    if s.kind == "live_room" {
        let body = "userID=alice&roomID=nowhere&mergeParams=%7B%22interface%22%3A%7B%7D%7D";
        s.send("a form with JSON in it", "alice", "merge_stream", FORM, body.into(), body.into()).await;
    }
    s.send("not JSON", "alice", "create_room", "application/json", "<xml/>".into(), "<xml/>".into()).await;
    s.send("an empty body", "alice", "create_room", "application/json", String::new(), Value::Null).await;
    s.call("an unknown call", "alice", "no_such_call", json!({})).await;
    let path = format!("/weapp/{}/get_room_list", s.kind);
    let answer = s.kit.get(&path).await;
    assert_eq!(answer.header("allow"), "POST, OPTIONS");
    s.note("a wrong method", "", &format!("GET {path}"), Value::Null, &answer);

    let mut preflight = request(Method::OPTIONS, &path);
    preflight.headers_mut().insert(header::ORIGIN, HeaderValue::from_static("https://app.example.com"));
    let answer = s.kit.send(preflight).await;
    let named = ["origin", "methods", "headers"].map(|n| format!("access-control-allow-{n}"));
    let headers: Value = named.iter().map(|name| (name.clone(), Value::from(answer.header(name)))).collect();
    s.lines.push(json!({ "step": "preflight", "call": format!("OPTIONS {path}"), "status": answer.status.as_u16(), "reply": headers }));

    s.call("logout", "alice", "logout", json!({})).await;
    s.call("get_room_list after logout", "alice", "get_room_list", json!({ "cnt": 1, "index": 0 })).await;
    s.send("logout again, an empty body", "alice", "logout", "application/json", String::new(), Value::Null).await;
    s.send("logout with an empty body", "bob", "logout", "application/json", String::new(), Value::Null).await;

    s.kit.clock.pass(31 * 24 * 3600 * 1000);
    s.call("a session a month later", "carol", "get_room_list", json!({ "cnt": 1, "index": 0 })).await;
    s.get("check_config", "/weapp/utils/check_config").await;
    s.get("getlogfile of nothing", "/weapp/utils/getlogfile?file=../development-keys.toml").await;
}

/// Everything, for one kind of room and one generation of clients.
pub async fn transcript(kind: &str, generation: Generation) -> Vec<Value> {
    let kit = Kit::with(|settings| settings.rooms.max_audiences = 1, |_| {}).await;
    take_down(&kit, kind, generation, Vec::new()).await
}

async fn take_down(kit: &Kit, kind: &str, generation: Generation, names: Vec<(String, String)>) -> Vec<Value> {
    let mut scribe = Scribe { kit, kind, generation, tokens: Vec::new(), names, lines: Vec::new() };
    sessions(&mut scribe).await;
    let room = rooms(&mut scribe).await;
    records(&mut scribe).await;
    live(&mut scribe, &room).await;
    ends(&mut scribe, &room).await;
    wire(&mut scribe).await;
    scribe.lines
}

fn path(kind: &str, generation: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{kind}_{generation}.json"))
}

fn same(lines: &[Value], golden: &[Value], path: &Path) {
    for (line, golden) in lines.iter().zip(golden) {
        assert_eq!(line, golden, "{}: {} ≠ {}", path.display(), line, golden);
    }
    assert_eq!(lines.len(), golden.len(), "{}", path.display());
}

/// What a generation is called in the names of files.
fn named(generation: Generation) -> &'static str {
    match generation {
        Generation::First => "first",
        Generation::Second => "second",
    }
}

async fn hold(kind: &str, generation: Generation) {
    hold_to(&path(kind, named(generation)), &transcript(kind, generation).await);
}

/// Holds what was taken down to the file.
fn hold_to(path: &Path, lines: &[Value]) {
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    if std::env::var_os("REGOLD").is_some() {
        std::fs::write(path, format!("[\n{}\n]\n", text.join(",\n"))).unwrap();
    }
    let golden: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    same(lines, &golden, path);
}

/// A call without a session, which names this machine.
async fn tokenless(s: &mut Scribe<'_>, step: &str, call: &str, body: Value) -> Value {
    s.kit.clock.pass(1);
    let path = format!("/weapp/{}/{call}", s.kind);
    let asked = axum::http::Request::post(&path).header(header::HOST, "127.0.0.1:5757");
    let answer = s.kit.send(asked.body(Body::from(body.to_string())).unwrap()).await;
    s.note(step, "", &format!("POST {path}"), body, &answer)
}

/// A client of 2017, which has no session: it names itself in each body, and enters with the call that makes a room.
async fn without_sessions(s: &mut Scribe<'_>) {
    let mut urls = Vec::new();
    for user in ["alice", "bob"] {
        let who = json!({ "userID": user });
        let info = tokenless(s, "get_im_login_info", "get_im_login_info", who.clone()).await;
        s.learn(&info["userSig"], format!("<userSig of {user}>"));
        let given = tokenless(s, "get_push_url", "get_push_url", who).await;
        s.learn(&stream(&given["pushURL"]), format!("8525_{user}_<4 digits>"));
        s.name_again(2);
        urls.push(given["pushURL"].clone());
    }
    let new =
        json!({ "userID": "alice", "roomName": "tea", "userName": "Alice", "userAvatar": "a", "pushURL": urls[0] });
    let room =
        tokenless(s, "create_room, with what its first pusher sends", "create_room", new).await["roomID"].clone();
    s.learn(&room, "<room 1>");
    s.name_again(1);
    tokenless(s, "get_room_list", "get_room_list", json!({ "cnt": 20, "index": 0 })).await;
    let enter = json!({ "roomID": room, "userID": "bob", "userName": "Bob", "userAvatar": "b", "pushURL": urls[1] });
    tokenless(s, "add_pusher", "add_pusher", enter).await;
    tokenless(s, "get_pushers", "get_pushers", json!({ "roomID": room })).await;
    for (step, who) in [("pusher_heartbeat", "alice"), ("delete_pusher", "bob"), ("delete_pusher", "alice")] {
        tokenless(s, step, step, json!({ "roomID": room, "userID": who })).await;
    }
    tokenless(s, "get_pushers after all left", "get_pushers", json!({ "roomID": room })).await;
}

#[tokio::test(start_paused = true)]
async fn clients_of_2017_keep_to_their_transcript() {
    for kind in ["double_room", "multi_room", "live_room"] {
        let kit = Kit::with(|settings| settings.rooms.generation0 = true, |_| {}).await;
        let tokens = Vec::new();
        let names = Vec::new();
        let lines = Vec::new();
        let mut scribe = Scribe { kit: &kit, kind, generation: Generation::First, tokens, names, lines };
        without_sessions(&mut scribe).await;
        hold_to(&path(kind, "2017"), &scribe.lines);
    }
}

/// URLs that only one of the providers has.
const OF_ONE: [&str; 5] = ["whipURL", "whepURL", "webrtcURL", "webrtcPushURL", "srtPushURL"];

fn without(names: &[&str], value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !names.contains(&name.as_str()));
            fields.values_mut().for_each(|value| without(names, value));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| without(names, value)),
        // Here play URLs say who plays, so that who is put out sees nothing more; services elsewhere know no such thing.
        Value::String(text) => {
            for name in ["&uid=", "&rid="] {
                let mut parts = text.split(name);
                let plain = parts.next().unwrap_or_default().to_owned();
                // And services elsewhere lay no mix over a stream.
                let plain = plain.replace("&raw=1", "");
                *text = parts.fold(plain, |text, part| text + part.find('&').map_or("", |end| &part[end..]));
            }
        }
        _ => {}
    }
}

/// The same transcripts with both services at Tencent: only hosts differ, and which URLs there are besides the old ones.
async fn hold_on_clouds(kind: &str) {
    for generation in [Generation::First, Generation::Second] {
        let (kit, emulator) = Kit::on_clouds(|settings| settings.rooms.max_audiences = 1).await;
        let hosts = ["push", "play"].map(|of| (format!("8525.live{of}.myqcloud.com"), HOST.to_owned()));
        let mut lines = take_down(&kit, kind, generation, hosts.into()).await;
        let path = path(kind, named(generation));
        let mut golden: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let urls = lines.iter().find(|line| line["step"] == "get_push_url alice").unwrap()["reply"].clone();
        assert!(urls["webrtcPushURL"].as_str().unwrap().starts_with("webrtc://") && urls["whipURL"] == "", "{urls}");
        lines.iter_mut().chain(&mut golden).for_each(|line| without(&OF_ONE, line));
        same(&lines, &golden, &path);
        emulator.faultless();
        for what in ["create_group", "destroy_group", "send_group_system_notification"] {
            assert!(emulator.count(what) > 0, "{what} was never called");
        }
        assert!(emulator.count("DescribeLiveStreamState") > 0, "the live service was never asked");
    }
}

#[tokio::test(start_paused = true)]
async fn double_room_on_clouds() {
    hold_on_clouds("double_room").await;
}

#[tokio::test(start_paused = true)]
async fn multi_room_on_clouds() {
    hold_on_clouds("multi_room").await;
}

#[tokio::test(start_paused = true)]
async fn live_room_on_clouds() {
    hold_on_clouds("live_room").await;
}

#[tokio::test(start_paused = true)]
async fn double_room_first_generation() {
    hold("double_room", Generation::First).await;
}

#[tokio::test(start_paused = true)]
async fn double_room_second_generation() {
    hold("double_room", Generation::Second).await;
}

#[tokio::test(start_paused = true)]
async fn multi_room_first_generation() {
    hold("multi_room", Generation::First).await;
}

#[tokio::test(start_paused = true)]
async fn multi_room_second_generation() {
    hold("multi_room", Generation::Second).await;
}

#[tokio::test(start_paused = true)]
async fn live_room_first_generation() {
    hold("live_room", Generation::First).await;
}

#[tokio::test(start_paused = true)]
async fn live_room_second_generation() {
    hold("live_room", Generation::Second).await;
}
