//! What a client does with its WebRTC session after the offer. Among several nodes a request may come to another one than the
//! one that has the session: a session's name tells which, and that one is asked.

use std::sync::Arc;

use axum::http::StatusCode;
use media::Ended;
use media::rtc::{Refused, Server};
use serde::{Deserialize, Serialize};

use streams::nodes::{NoAnswer, Nodes};

/// Digits of a session's own name. Behind them follow those of its node, where there may be several.
const OWN: usize = 32;
/// Digits of a node.
const NODE: usize = 16;

/// What a client wants of its session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wish {
    /// To know that there is one.
    Find,
    /// Its end.
    End,
    /// More ICE candidates, or an ICE restart.
    Patch {
        /// As RFC 8840 writes it.
        fragment: String,
        /// The entity tags that the client knows, if it names some.
        tags: Option<Vec<String>>,
    },
}

/// A wish on its way to the node that has the session.
#[derive(Serialize, Deserialize)]
struct Asked {
    session: String,
    wish: Wish,
}

/// What came of it, as HTTP says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// The status.
    pub status: u16,
    /// The entity tag of the session as it is now, if that is told.
    pub etag: Option<String>,
    /// The new fragment, or why it cannot be.
    pub body: String,
}

impl Outcome {
    fn new(status: StatusCode) -> Self {
        Self { status: status.as_u16(), etag: None, body: String::new() }
    }

    fn refused(why: &Refused) -> Self {
        Self { body: why.to_string(), ..Self::new(status(why)) }
    }

    /// The status, which is an error where it cannot be read.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// A session's own name, and the node that has it if the name tells.
fn parts(name: &str) -> (&str, Option<&str>) {
    match name.split_at_checked(OWN) {
        Some((own, node)) if node.len() == NODE && is_hex(node) => (own, Some(node)),
        _ => (name, None),
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The sessions of this server, and of the others where there are some.
pub struct Sessions {
    /// WebRTC, if it runs here.
    pub server: Option<Server>,
    /// The other nodes, where there may be some.
    pub nodes: Option<Arc<Nodes>>,
}

impl Sessions {
    /// The name under which clients know a session of this server.
    pub(super) fn name(&self, session: &str) -> String {
        let node = self.nodes.as_ref().map_or("", |nodes| nodes.id());
        format!("{session}{node}")
    }

    /// Does what a client wants of the session of this name, wherever it is.
    pub(super) async fn run(&self, name: &str, wish: Wish) -> Outcome {
        let (own, node) = parts(name);
        match (&self.nodes, node) {
            (Some(nodes), Some(node)) if node != nodes.id() => elsewhere(nodes, node, own, wish).await,
            _ => match &self.server {
                Some(server) => here(server, own, wish).await,
                None => Outcome::refused(&Refused::Unsupported("WebRTC is switched off here".into())),
            },
        }
    }
}

async fn here(server: &Server, session: &str, wish: Wish) -> Outcome {
    let done = match wish {
        Wish::Find => server.etag(session).map(|etag| {
            let found = Outcome::new(StatusCode::NO_CONTENT);
            Outcome { etag: Some(etag), ..found }
        }),
        // One that is over already is what the client wants, and no error for its console to show.
        Wish::End => match server.delete(session).await {
            Err(Refused::NoSession) if session.len() == OWN && is_hex(session) => Ok(Outcome::new(StatusCode::OK)),
            done => done.map(|()| Outcome::new(StatusCode::OK)),
        },
        Wish::Patch { fragment, tags } => {
            let tags: Option<Vec<&str>> = tags.as_ref().map(|tags| tags.iter().map(String::as_str).collect());
            server.patch(session, &fragment, tags.as_deref()).await.map(|restarted| match restarted {
                None => Outcome::new(StatusCode::NO_CONTENT),
                Some(restarted) => {
                    Outcome { etag: Some(restarted.etag), body: restarted.fragment, ..Outcome::new(StatusCode::OK) }
                }
            })
        }
    };
    done.unwrap_or_else(|why| Outcome::refused(&why))
}

async fn elsewhere(nodes: &Nodes, node: &str, session: &str, wish: Wish) -> Outcome {
    let ends = wish == Wish::End;
    let Ok(ask) = serde_json::to_string(&Asked { session: session.into(), wish }) else {
        return Outcome::new(StatusCode::INTERNAL_SERVER_ERROR);
    };
    match nodes.ask_of_session(node, &ask).await {
        Ok(answer) => serde_json::from_str(&answer).unwrap_or_else(|_| Outcome::new(StatusCode::BAD_GATEWAY)),
        // Its sessions went with it.
        Err(NoAnswer::Gone) if ends => Outcome::new(StatusCode::OK),
        Err(NoAnswer::Gone) => Outcome::refused(&Refused::NoSession),
        Err(NoAnswer::Silent) => {
            let body = "the node that has the session does not answer now".into();
            Outcome { body, ..Outcome::new(StatusCode::SERVICE_UNAVAILABLE) }
        }
    }
}

/// Does what comes to other nodes for sessions of this one, until it is dropped.
pub async fn answer(nodes: Arc<Nodes>, server: Server) {
    let answer = move |asked: String| {
        let server = server.clone();
        async move {
            let Asked { session, wish } = serde_json::from_str(&asked).ok()?;
            serde_json::to_string(&here(&server, &session, wish).await).ok()
        }
    };
    nodes.answer_of_sessions(answer).await;
}

/// The status that a refusal stands for.
pub(super) fn status(refused: &Refused) -> StatusCode {
    match refused {
        Refused::Bad(_) => StatusCode::BAD_REQUEST,
        Refused::Unsupported(_) => StatusCode::NOT_ACCEPTABLE,
        Refused::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refused::Ended(Ended::NotFound) | Refused::NoSession => StatusCode::NOT_FOUND,
        Refused::Ended(Ended::Busy) => StatusCode::CONFLICT,
        Refused::Ended(Ended::Refused(_)) => StatusCode::FORBIDDEN,
        Refused::Stale => StatusCode::PRECONDITION_FAILED,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_node_where_it_holds_one() {
        let own = "0123456789abcdef0123456789abcdef";
        assert_eq!(parts(&format!("{own}00000000000000aa")), (own, Some("00000000000000aa")));
        for other in [own, "", "é", &format!("{own}00"), &format!("{own}0000000000000:aa"), &"é".repeat(24)] {
            assert_eq!(parts(other), (other, None));
        }
    }
}
