//! The calls of the rooms API as request bytes, and the steps that set a measurement up: keys, sessions, rooms.
//! The one file to change when the wire protocol does.

use crate::Failure;
use crate::http::{self, Connection, fetch_all};
use crate::server::Workspace;
use serde_json::{Value, json};
use sign::usersig::{Grant, v1, v2};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

const SDK_APP_ID: u64 = 1_400_000_001;
const ACCOUNT_TYPE: &str = "36862";
const LIFETIME: u64 = 86_400;
/// Sockets that set-up uses.
const SETUP_CONNECTIONS: usize = 32;

/// The app's keys of both userSig versions, made for one run.
pub struct Keys {
    v1: v1::PrivateKey,
    v2: v2::Key,
    config: String,
}

/// Which userSig a login shows.
#[derive(Debug, Clone, Copy)]
pub enum UserSig {
    /// ECDSA, P-256.
    V1,
    /// HMAC-SHA256.
    V2,
}

impl Keys {
    /// Makes a P-256 pair and a secret.
    pub fn generate() -> Result<Self, Failure> {
        let pair = v1::PrivateKey::generate_p256();
        let secret = sign::generate_secret();
        let private = pair.private_pem.expose();
        let config = format!(
            "[im]\nsdkAppID = {SDK_APP_ID}\naccountType = \"{ACCOUNT_TYPE}\"\nprivateKey = \"\"\"\n{}\n\"\"\"\n\
             publicKey = \"\"\"\n{}\n\"\"\"\nsecretKey = \"{}\"\n",
            private.trim(),
            pair.public_pem.trim(),
            secret.expose(),
        );
        Ok(Keys { v1: v1::PrivateKey::from_pem(private)?, v2: v2::Key::new(&secret)?, config })
    }

    /// Writes the server's configuration file with these keys.
    pub fn write_config(&self, workspace: &Workspace) -> Result<PathBuf, Failure> {
        workspace.write("roomservice.toml", &self.config)
    }

    /// Likewise, with more settings behind them.
    pub fn write_config_with(&self, workspace: &Workspace, more: &str) -> Result<PathBuf, Failure> {
        workspace.write("roomservice.toml", &format!("{}\n{more}", self.config))
    }

    fn sign(&self, user: &str, version: UserSig) -> Result<String, Failure> {
        let issued_at = UNIX_EPOCH.elapsed()?.as_secs();
        let grant = Grant { sdk_app_id: SDK_APP_ID, user_id: user, issued_at, lifetime: LIFETIME, userbuf: None };
        Ok(match version {
            UserSig::V1 => v1::sign(&self.v1, &grant, ACCOUNT_TYPE)?,
            UserSig::V2 => v2::sign(&self.v2, &grant)?,
        })
    }
}

/// A user who has logged in.
#[derive(Debug, Clone)]
pub struct Session {
    /// The user.
    pub user: String,
    token: String,
}

impl Session {
    #[cfg(test)]
    pub fn of(user: &str, token: &str) -> Self {
        Session { user: user.to_owned(), token: token.to_owned() }
    }

    /// `userID=…&token=…`, as every call carries it; neither needs escaping.
    pub fn query(&self) -> String {
        format!("userID={}&token={}", self.user, self.token)
    }
}

/// The calls of one kind of room at one server.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    /// Where the server is.
    pub address: SocketAddr,
    /// The path segment: `multi_room` and so on.
    pub kind: &'static str,
}

impl Api {
    /// One login.
    pub fn login(&self, keys: &Keys, user: &str, version: UserSig) -> Result<Vec<u8>, Failure> {
        let user_sig = keys.sign(user, version)?;
        let query = format!("sdkAppID={SDK_APP_ID}&accountType={ACCOUNT_TYPE}&userID={user}&userSig={user_sig}");
        Ok(http::post(self.address, &format!("/weapp/{}/login?{query}", self.kind), "{}"))
    }

    /// `utils/get_login_info`.
    pub fn login_info(&self, user: &str) -> Vec<u8> {
        http::get(self.address, &format!("/weapp/utils/get_login_info?userID={user}"))
    }

    /// Any call that takes a session and a JSON body.
    pub fn call(&self, session: &Session, name: &str, body: &Value) -> Vec<u8> {
        let target = format!("/weapp/{}/{name}?{}", self.kind, session.query());
        http::post(self.address, &target, &body.to_string())
    }

    /// `pusher_heartbeat` of a session in a room.
    pub fn heartbeat(&self, session: &Session, room: &str) -> Vec<u8> {
        self.call(session, "pusher_heartbeat", &json!({"roomID": room, "userID": session.user}))
    }

    /// `get_pushers` of a room.
    pub fn get_pushers(&self, session: &Session, room: &str) -> Vec<u8> {
        self.call(session, "get_pushers", &json!({"roomID": room}))
    }

    /// `get_room_list`.
    pub fn room_list(&self, session: &Session, count: usize, index: usize) -> Vec<u8> {
        self.call(session, "get_room_list", &json!({"cnt": count, "index": index}))
    }

    /// `create_room` with an id of the server's choice.
    pub fn create_room(&self, session: &Session) -> Vec<u8> {
        self.call(session, "create_room", &json!({"userID": session.user, "roomInfo": "a room of the bench"}))
    }

    /// `get_push_url` for a room.
    pub fn push_url(&self, session: &Session, room: &str) -> Vec<u8> {
        self.call(session, "get_push_url", &json!({"userID": session.user, "roomID": room}))
    }

    /// `add_pusher`; makes the room where there is none.
    pub fn add_pusher(&self, session: &Session, room: &str, push_url: &str) -> Vec<u8> {
        let body = json!({
            "roomID": room, "userID": session.user, "userName": "Bench", "userAvatar": "avatar.png",
            "pushURL": push_url, "roomInfo": "a room of the bench",
        });
        self.call(session, "add_pusher", &body)
    }

    /// `delete_pusher`.
    pub fn delete_pusher(&self, session: &Session, room: &str) -> Vec<u8> {
        self.call(session, "delete_pusher", &json!({"roomID": room, "userID": session.user}))
    }

    /// Sends one request and gives the reply, which must be a success.
    pub fn ask(&self, request: &[u8]) -> Result<Value, Failure> {
        let mut connection = Connection::open(self.address)?;
        connection.send(request)?;
        connection.receive()?.json()
    }

    /// Logs users in with version 2, in the order given.
    pub fn sessions(&self, keys: &Keys, users: impl IntoIterator<Item = String>) -> Result<Vec<Session>, Failure> {
        let users: Vec<String> = users.into_iter().collect();
        let requests = users.iter().map(|user| self.login(keys, user, UserSig::V2)).collect::<Result<Vec<_>, _>>()?;
        let tokens = self.texts(requests, "token")?;
        Ok(users.into_iter().zip(tokens).map(|(user, token)| Session { user, token }).collect())
    }

    /// Makes one room per session, named by `room`, with the session as its only pusher. Gives the push URLs.
    pub fn enter_rooms(&self, sessions: &[Session], room: impl Fn(usize) -> String) -> Result<Vec<String>, Failure> {
        let numbered = || sessions.iter().enumerate();
        let urls = self.texts(numbered().map(|(n, session)| self.push_url(session, &room(n))), "pushURL")?;
        let adds = numbered().zip(&urls).map(|((n, session), url)| self.add_pusher(session, &room(n), url));
        fetch_all(self.address, SETUP_CONNECTIONS, adds, |reply| reply.json().map(drop))?;
        Ok(urls)
    }

    /// One text field of each reply, in order.
    pub fn texts(&self, requests: impl IntoIterator<Item = Vec<u8>>, field: &str) -> Result<Vec<String>, Failure> {
        let mut texts = Vec::new();
        fetch_all(self.address, SETUP_CONNECTIONS, requests, |reply| {
            let value = reply.json()?;
            let text = value.get(field).and_then(Value::as_str);
            texts.push(text.ok_or_else(|| format!("a reply without {field}: {value}"))?.to_owned());
            Ok(())
        })?;
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_clients_send() {
        let api = Api { address: "127.0.0.1:5757".parse().unwrap(), kind: "multi_room" };
        let session = Session::of("u1", "t.k~n");
        let text = String::from_utf8(api.heartbeat(&session, "r1")).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /weapp/multi_room/pusher_heartbeat?userID=u1&token=t.k~n HTTP/1.1\r\n"));
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body, json!({"roomID": "r1", "userID": "u1"}));
    }

    #[test]
    fn keys_sign_what_the_configured_public_side_accepts() {
        let keys = Keys::generate().unwrap();
        let verifying = sign::usersig::Keys::new(
            Some(v1::PrivateKey::from_pem(keys.config.split("\"\"\"").nth(1).unwrap()).unwrap()),
            None,
            Some(v2::Key::new(&sign::Secret::new(keys.config.rsplit('"').nth(1).unwrap().to_owned())).unwrap()),
        )
        .unwrap();
        let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
        for version in [UserSig::V1, UserSig::V2] {
            let text = keys.sign("u1", version).unwrap();
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"*-_".contains(&b)), "{text}");
            let expected = sign::usersig::Expected {
                sdk_app_id: SDK_APP_ID,
                user_id: "u1",
                account_type: Some(ACCOUNT_TYPE),
                now,
            };
            sign::usersig::verify(&text, &verifying, &expected).unwrap();
        }
    }
}
