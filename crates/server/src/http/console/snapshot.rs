//! What the console shows. Bounded: of very many rooms or streams the first are shown and all are counted.

use room::audience::Viewer;
use room::{Kind, Room, RoomId};
use serde_json::{Value, json};

use super::{Console, beside};
use crate::config::Settings;
use crate::http::api::{EmptyView, RecordingView, StreamView};
use crate::http::weapp::CustomView;

/// Most rooms of a kind that are shown.
const ROOMS: usize = 100;
/// Most live rooms whose audience is shown by name.
const WATCHED: usize = 20;
/// Most rooms of a kind whose chat is looked for at other nodes.
const TALKED: usize = 20;
/// Most streams that are shown.
const STREAMS: usize = 300;
/// Most recordings that are shown, the newest.
const RECORDINGS: usize = 200;
/// Most lines of the logs' ends that a console begins with.
const LINES: usize = 300;

/// What does not change while the server runs, and what happened before.
pub async fn hello(console: &Console) -> Value {
    let logs = console.web.logs.clone();
    let lines = tokio::task::spawn_blocking(move || logs.last(LINES)).await.unwrap_or_default();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "mode": console.checks.settings.mode,
        // Secrets serialise as ***.
        "settings": &*console.checks.settings,
        // What differs from them is shown first.
        "defaults": Settings::default(),
        "problems": console.checks.problems(),
        "history": console.figures.all(),
        "lines": lines,
    })
}

/// The server now.
pub async fn now(console: &Console) -> Value {
    let mut rooms = Vec::new();
    for kind in Kind::ALL {
        let see = &mut |room: &Room, viewers: usize| rooms.push(room_view(console, room, viewers));
        // A store that is away shows no rooms; the log says why.
        let _ = console.rooms.list(kind, 0, ROOMS, see).await;
    }
    if console.chat.is_shared() {
        fetch_chats(console, &mut rooms).await;
    }
    for room in rooms.iter_mut().filter(|room| room["kind"] == "live").take(WATCHED) {
        let Some(id) = id_of(room) else { continue };
        let listed = console.rooms.viewers(&id).await.map(|viewers| viewers.listed).unwrap_or_default();
        room["audiences"] = listed.iter().map(viewer).collect();
    }
    let streams = console.hub.list();
    json!({
        "now": console.figures.now(),
        "rooms": rooms,
        "streams": streams.iter().take(STREAMS).map(|info| StreamView::of(&console.hub, info)).collect::<Vec<_>>(),
        "groups": console.chat.len(),
        "webhooks": beside::webhooks(console),
        "webrtc": beside::webrtc(console),
        "mixes": beside::mixes(console),
        // None: recording is not allowed.
        "emptyRecordings": console.recorder.as_ref().map(|r| r.empty().into_iter().map(EmptyView::from).collect::<Vec<_>>()),
        "recordings": console.recorder.as_ref().map(|r| r.list().into_iter().rev().take(RECORDINGS).map(RecordingView::from).collect::<Vec<_>>()),
    })
}

fn id_of(view: &Value) -> Option<RoomId> {
    view["roomID"].as_str().and_then(|id| RoomId::parse(id).ok())
}

/// Chats that have no member at this node are fetched from where all nodes keep them.
async fn fetch_chats(console: &Console, rooms: &mut [Value]) {
    for kind in Kind::ALL {
        let of_kind = rooms.iter_mut().filter(|room| room["kind"] == json!(kind)).take(TALKED);
        for room in of_kind.filter(|room| room["chat"].is_null()) {
            let Some(id) = id_of(room) else { continue };
            // While Redis is away it is shown without.
            if console.chat.fetch(&id).await.is_ok() {
                room["chat"] = chat_view(console, &id);
            }
        }
    }
}

/// None of a room that is just being made, or whose chat is not ours.
fn chat_view(console: &Console, room: &RoomId) -> Value {
    let Ok(shown) = console.chat.show(room) else { return Value::Null };
    json!({
        "users": shown.users,
        "last": shown.last,
        "muted": shown.muted.iter().map(|(user, _)| user).collect::<Vec<_>>(),
        "banned": shown.banned.iter().map(|(user, _)| user).collect::<Vec<_>>(),
    })
}

fn room_view(console: &Console, room: &Room, viewers: usize) -> Value {
    let pushers: Vec<_> = room
        .pushers
        .iter()
        .map(
            |p| json!({ "userID": p.user, "userName": p.name, "stream": p.stream, "joined": p.joined, "seen": p.seen }),
        )
        .collect();
    json!({
        "roomID": room.id,
        "kind": room.kind,
        "roomInfo": room.info,
        "roomCreator": room.creator.as_ref().map(|(user, _)| user),
        "created": room.created,
        "custom": CustomView(&room.custom),
        "audienceCount": viewers,
        "pushers": pushers,
        "audiences": [],
        "chat": chat_view(console, &room.id),
    })
}

/// A viewer; clients put a JSON text with a name into its information.
fn viewer(viewer: &Viewer) -> Value {
    let info = serde_json::from_str::<Value>(&viewer.info).unwrap_or_default();
    json!({ "userID": viewer.user, "userName": info["userName"].as_str().unwrap_or_default() })
}
