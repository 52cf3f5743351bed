//! The loop that owns one WebSocket: what waits goes out, what comes in is answered, silence ends it.
//! One task, and nothing of its own that is large.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures_util::SinkExt;
use tokio::time::{Instant, Sleep, timeout};
use tokio_tungstenite::tungstenite;

use super::requests;
use crate::chat_door::ChatDoor;
use access::limits::{Budget, Chatter, TooMuch};
use access::sessions::Session;
use chat::close::Close;
use chat::hub::link::{Link, Queue};

/// How long the last frame may take, and the client's answer to it.
const FAREWELL: Duration = Duration::from_secs(5);
/// Requests in a row that may come too fast before the connection ends.
const MAX_REFUSED: u32 = 200;

/// Serves a client until either side ends it.
pub async fn serve(
    door: Arc<ChatDoor>,
    session: Session,
    since: Option<u64>,
    peer: Option<IpAddr>,
    mut socket: WebSocket,
) {
    let login = super::login(&session);
    let why = match door.chat.connect(&login, since, |connected| super::welcome(&door, &session, connected)) {
        Ok(link) => {
            drop(session);
            // Out of the hub before the farewell, and also if this task ends in a panic.
            let present = Present { door: &door, link };
            talk(&door, &present.link, peer, &mut socket).await
        }
        Err(refusal) => {
            let _ = timeout(FAREWELL, socket.send(text(requests::refusal(None, refusal)))).await;
            Some(Close::Overloaded)
        }
    };
    door.chat.counters.closed(why);
    if let Some(why) = why {
        let frame = CloseFrame { code: why.code(), reason: why.reason().into() };
        let farewell = async {
            if socket.send(Message::Close(Some(frame))).await.is_ok() {
                // Until the client has closed too: closing earlier could throw away what it has not read.
                while let Some(Ok(_)) = socket.recv().await {}
            }
        };
        let _ = timeout(FAREWELL, farewell).await;
    }
}

struct Present<'a> {
    door: &'a ChatDoor,
    link: Arc<Link>,
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.door.chat.disconnect(&self.link);
    }
}

/// Whether it may make one more request: the connection by itself, and its user with all connections.
fn may_ask(door: &ChatDoor, link: &Link, peer: Option<IpAddr>) -> Result<(), u64> {
    link.ask(door.web.clock.steady())?;
    door.web.limits.user(&link.user, peer, Budget::Message).map_err(|TooMuch(seconds)| u64::from(seconds) * 1000)
}

enum Step {
    Out(Result<VecDeque<Bytes>, Close>),
    In(Option<Result<Message, axum::Error>>),
    Silence,
}

/// Until the end; none if the client closed or the connection broke.
async fn talk(door: &ChatDoor, link: &Link, peer: Option<IpAddr>, socket: &mut WebSocket) -> Option<Close> {
    let queue = link.queue()?;
    let idle = Duration::from_secs(door.chat.settings().idle_timeout);
    let mut heard = Instant::now();
    let mut refused = 0;
    let mut chatter = Chatter::default();
    let mut silence = std::pin::pin!(tokio::time::sleep(idle / 2));
    loop {
        let step = tokio::select! {
            out = poll_fn(|context| queue.poll_take(context)) => Step::Out(out),
            come = socket.recv() => Step::In(come),
            () = silence.as_mut() => Step::Silence,
        };
        match step {
            Step::Out(Ok(frames)) => send(socket, queue, frames.into_iter().map(text), idle).await?,
            Step::Out(Err(why)) => return Some(why),
            Step::In(Some(Ok(message))) => {
                heard = Instant::now();
                match message {
                    Message::Text(text) => {
                        refused = if asked(door, link, peer, &text).await { 0 } else { refused + 1 };
                        if refused > MAX_REFUSED {
                            return Some(Close::TooFast);
                        }
                    }
                    Message::Binary(_) => return Some(Close::Protocol),
                    Message::Close(_) => {
                        // One more look lets the answer out.
                        let _ = timeout(FAREWELL, socket.recv()).await;
                        return None;
                    }
                    // Each ping has been answered, and asks for nothing else.
                    Message::Ping(_) | Message::Pong(_) if chatter.hear() => {}
                    Message::Ping(_) | Message::Pong(_) => return Some(Close::TooFast),
                }
            }
            Step::In(Some(Err(error))) => return broken(error),
            Step::In(None) => return None,
            Step::Silence => {
                if link.expires < door.web.clock.now() {
                    return Some(Close::SessionEnded);
                }
                let quiet = heard.elapsed();
                if quiet >= idle {
                    return Some(Close::Idle);
                }
                if quiet >= idle / 2 {
                    send(socket, queue, std::iter::once(Message::Ping(Bytes::new())), idle).await?;
                }
                again(silence.as_mut(), heard, idle);
            }
        }
    }
}

/// Answers a request, unless its user asks too fast: then it is refused. Says whether it was answered.
async fn asked(door: &ChatDoor, link: &Link, peer: Option<IpAddr>, text: &Utf8Bytes) -> bool {
    let Err(wait) = may_ask(door, link, peer) else {
        answer(door, link, text).await;
        return true;
    };
    door.chat.counters.hurried.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    link.frame(|| requests::too_fast(text, wait));
    false
}

/// A frame of the hub's as WebSocket message: the hub makes nothing but text.
fn text(frame: Bytes) -> Message {
    Message::Text(Utf8Bytes::try_from(frame).unwrap_or_default())
}

/// Answers a request, as a part of a trace where there is one.
async fn answer(door: &ChatDoor, link: &Link, text: &Utf8Bytes) {
    match door.web.traces.as_ref().and_then(|traces| traces.request()) {
        None => requests::answer(door, link, text).await,
        Some(traced) => {
            Box::pin(traced.within(requests::answer(door, link, text))).await;
            traced.end("chat.request", false, Vec::new());
        }
    }
}

/// The next look at the silence: at half of the time, and at the whole.
fn again(silence: std::pin::Pin<&mut Sleep>, heard: Instant, idle: Duration) {
    let half = heard + idle / 2;
    silence.reset(if half > Instant::now() { half } else { heard + idle });
}

/// Sends all, but does not wait longer than the connection lasts.
async fn send(
    socket: &mut WebSocket,
    queue: &Queue,
    messages: impl Iterator<Item = Message>,
    idle: Duration,
) -> Option<()> {
    let all = async {
        for message in messages {
            socket.feed(message).await?;
        }
        socket.flush().await
    };
    tokio::select! {
        biased;
        // What cannot be sent for so long has no client at the other end; then there is none to notify, either.
        sent = timeout(idle, all) => sent.ok()?.ok(),
        // The loop finds the reason at the queue's front, or after what was let go.
        _ = poll_fn(|context| queue.poll_end(context)) => Some(()),
    }
}

/// What a client did that ended its connection; none if the network did.
fn broken(error: axum::Error) -> Option<Close> {
    let error = error.into_inner();
    match error.downcast_ref::<tungstenite::Error>()? {
        tungstenite::Error::Capacity(_) => Some(Close::TooLarge),
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => None,
        tungstenite::Error::Protocol(_) | tungstenite::Error::Utf8(_) => Some(Close::Protocol),
        _ => None,
    }
}
