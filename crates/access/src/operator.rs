//! Operators: who may look at the server and who may act on it, by a key or by a short token that was signed with one.
//! Knows no HTTP.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use parking_lot::RwLock;
use room::{Millis, RoomId};
use serde::{Deserialize, Serialize};
use sign::{Secret, jwt};
use utoipa::ToSchema;

/// Longest time from now until a token's end, in seconds.
pub const LONGEST: u64 = 24 * 3600;
/// So many seconds another machine's clock may be ahead.
const SKEW: u64 = 60;

/// `[operator]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Keys of operators who may do everything, at least 16 characters each. None: operator calls are closed in production.
    pub keys: Vec<Secret>,
    /// Keys of operators who may look only.
    pub read_keys: Vec<Secret>,
}

/// What a token allows, under the names that LiveKit's tokens have where they mean the same. What is not named is not
/// allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Grants {
    /// See rooms, streams, figures: everything but recordings, logs and messages.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub room_list: bool,
    /// Make rooms and close them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub room_create: bool,
    /// Do everything to the room of `room` and who is in it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub room_admin: bool,
    /// The one room that `roomAdmin` is for; `*`: every room.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    /// Start, stop, see, fetch and delete recordings.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub room_record: bool,
    /// Keep users out of everything.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub user_admin: bool,
    /// Log users in: sessions and user signatures.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub token_create: bool,
    /// Everything.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub server_admin: bool,
}

impl Grants {
    /// From their names, as on a command line: `roomAdmin=ROOM`, and the others without a value.
    ///
    /// # Errors
    /// Which is none.
    pub fn parse(names: &[String]) -> Result<Self, String> {
        let mut grants = Self::default();
        for name in names {
            let grant = match name.as_str() {
                "roomList" => &mut grants.room_list,
                "roomCreate" => &mut grants.room_create,
                "roomRecord" => &mut grants.room_record,
                "userAdmin" => &mut grants.user_admin,
                "tokenCreate" => &mut grants.token_create,
                "serverAdmin" => &mut grants.server_admin,
                other => {
                    let room =
                        other.strip_prefix("roomAdmin=").filter(|room| *room == "*" || RoomId::parse(room).is_ok());
                    let room =
                        room.ok_or_else(|| format!("{other}: there is no such grant (roomAdmin needs =ROOM)"))?;
                    if grants.room_admin && grants.room != room {
                        return Err(format!("{other}: a token is for one room, or for every one (*)"));
                    }
                    grants.room = room.to_owned();
                    &mut grants.room_admin
                }
            };
            *grant = true;
        }
        Ok(grants)
    }
}

/// The claims of a token that matter here. Others are left unread.
#[derive(Debug, Deserialize)]
struct Claims {
    exp: u64,
    #[serde(default)]
    nbf: u64,
    /// LiveKit's libraries put grants here.
    #[serde(default)]
    video: Grants,
}

/// What a caller wants to do.
#[derive(Clone, Copy, Debug)]
pub enum Need<'a> {
    /// See what there is.
    Look,
    /// See one room.
    LookAt(&'a RoomId),
    /// Hear what is said in one room.
    Hear(&'a RoomId),
    /// Make a room.
    Create,
    /// Close this room.
    Close(&'a RoomId),
    /// Do something to this room, or to a user in it.
    Room(&'a RoomId),
    /// See and fetch recordings and log files.
    Listen,
    /// Start, stop or delete recordings.
    Record,
    /// Keep users out of everything.
    Users,
    /// Log users in.
    Tokens,
    /// Do what concerns the whole server.
    Server,
}

/// An operator who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Which key stands behind it: different numbers for different keys.
    key: u64,
    /// May look only.
    reads: bool,
    /// All that may be done; none: everything.
    grants: Option<Grants>,
}

impl Operator {
    /// The same for operators who come with the same key and may do the same: what one is answered the other may hear.
    #[must_use]
    pub fn mark(&self) -> String {
        format!("{} {:?}", self.key, self.grants)
    }

    /// Whether it may do this.
    #[must_use]
    pub fn may(&self, need: Need<'_>) -> bool {
        let looks = matches!(need, Need::Look | Need::LookAt(_) | Need::Hear(_) | Need::Listen);
        if self.reads && !looks {
            return false;
        }
        let Some(grants) = &self.grants else { return true };
        let administers = |room: &RoomId| grants.room_admin && (grants.room == "*" || grants.room == room.as_str());
        grants.server_admin
            || match need {
                Need::Look => grants.room_list,
                Need::LookAt(room) => grants.room_list || administers(room),
                Need::Create => grants.room_create,
                Need::Close(room) => grants.room_create || administers(room),
                Need::Room(room) | Need::Hear(room) => administers(room),
                Need::Listen | Need::Record => grants.room_record,
                Need::Users => grants.user_admin,
                Need::Tokens => grants.token_create,
                Need::Server => false,
            }
    }
}

/// Decides who is an operator.
#[derive(Debug)]
pub struct Operators {
    keys: RwLock<Keys>,
    open: bool,
}

#[derive(Debug)]
struct Keys {
    /// Those that may do everything, then those that may look only.
    all: Vec<Secret>,
    full: usize,
}

impl Keys {
    fn of(settings: &Settings) -> Self {
        let all = settings.keys.iter().chain(&settings.read_keys).cloned().collect();
        Self { all, full: settings.keys.len() }
    }

    fn by_key(&self, bearer: &str) -> Option<Operator> {
        // Every key is compared, each in constant time: the time taken tells nothing.
        let same = |key: &Secret| verify_slices_are_equal(key.expose().as_bytes(), bearer.as_bytes()).is_ok();
        let found = self.all.iter().enumerate().filter(|(_, key)| same(key)).map(|(n, _)| n).min()?;
        Some(self.operator(found, None))
    }

    fn by_token(&self, bearer: &str, now: Millis) -> Option<Operator> {
        let keys: Vec<&Secret> = self.all.iter().collect();
        let (key, claims) = jwt::verify(bearer, &keys).ok()?;
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        let now = now.secs();
        // A token without an end, or with one that is far away, is a key that cannot be revoked.
        let in_time = now < claims.exp && claims.exp <= now.saturating_add(LONGEST + SKEW) && claims.nbf <= now + SKEW;
        in_time.then(|| self.operator(key, Some(claims.video)))
    }

    fn operator(&self, at: usize, grants: Option<Grants>) -> Operator {
        let hash = digest::digest(&digest::SHA256, self.all[at].expose().as_bytes());
        let key = hash.as_ref().iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte));
        Operator { key, reads: at >= self.full, grants }
    }
}

impl Operators {
    /// In development mode, which serves this machine only, every caller is one.
    #[must_use]
    pub fn new(settings: &Settings, open: bool) -> Self {
        Self { keys: RwLock::new(Keys::of(settings)), open }
    }

    /// Whether every caller at this machine is an operator, as in development.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// Other keys from now on.
    pub fn set(&self, settings: &Settings) {
        *self.keys.write() = Keys::of(settings);
    }

    /// The operator that comes with this key or token; `None` for any other.
    #[must_use]
    pub fn admit(&self, bearer: Option<&str>, now: Millis) -> Option<Operator> {
        let keys = self.keys.read();
        let known = bearer.and_then(|bearer| keys.by_key(bearer).or_else(|| keys.by_token(bearer, now)));
        known.or_else(|| self.open.then_some(Operator { key: 0, reads: false, grants: None }))
    }

    /// A token with these grants for so many seconds, signed with a key that may do everything. `None`: there is no such
    /// key, or the time is longer than [`LONGEST`].
    #[must_use]
    pub fn issue(&self, grants: &Grants, seconds: u64, now: Millis) -> Option<String> {
        let keys = self.keys.read();
        let key = keys.all[..keys.full].first().filter(|_| (1..=LONGEST).contains(&seconds))?;
        let now = now.secs();
        let claims = serde_json::json!({ "iat": now, "exp": now.saturating_add(seconds), "video": grants });
        Some(jwt::sign(claims.to_string().as_bytes(), key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_795_446_000_000);

    fn operators() -> Operators {
        let settings = Settings {
            keys: vec![Secret::new("a key that may do everything")],
            read_keys: vec![Secret::new("a key that may look only")],
        };
        Operators::new(&settings, false)
    }

    fn room(id: &str) -> RoomId {
        RoomId::parse(id).unwrap()
    }

    fn token(key: &str, claims: &str) -> String {
        jwt::sign(claims.as_bytes(), &Secret::new(key))
    }

    #[test]
    fn keys_look_or_act() {
        let all = operators();
        let r = room("r");
        let full = all.admit(Some("a key that may do everything"), NOW).unwrap();
        let read = all.admit(Some("a key that may look only"), NOW).unwrap();
        assert!(full.may(Need::Server) && full.may(Need::Tokens) && full.may(Need::Look));
        assert!(read.may(Need::Look) && read.may(Need::LookAt(&r)) && read.may(Need::Listen));
        for need in
            [Need::Create, Need::Close(&r), Need::Room(&r), Need::Record, Need::Users, Need::Tokens, Need::Server]
        {
            assert!(!read.may(need), "{need:?}");
        }
        assert_ne!(full.key, read.key);
        for nobody in [None, Some(""), Some("a key"), Some("a.b.c"), Some("a key that may look only ")] {
            assert_eq!(all.admit(nobody, NOW), None, "{nobody:?}");
        }
        all.set(&Settings { keys: vec![Secret::new("a key that came later")], ..Settings::default() });
        assert!(all.admit(Some("a key that may do everything"), NOW).is_none());
        assert!(all.admit(Some("a key that came later"), NOW).unwrap().may(Need::Server));
        let open = Operators::new(&Settings::default(), true);
        assert!(open.admit(None, NOW).unwrap().may(Need::Server));
    }

    #[test]
    fn a_token_allows_what_it_grants_and_no_more() {
        let all = operators();
        let r = room("r");
        let q = room("q");
        let exp = NOW.secs() + 60;
        let admit = |grants: &str| {
            let claims = format!(r#"{{"iss":"any","sub":"who","exp":{exp},"video":{grants}}}"#);
            all.admit(Some(&token("a key that may do everything", &claims)), NOW).unwrap()
        };
        let admin = admit(r#"{"roomAdmin":true,"room":"r","somethingNew":true}"#);
        assert!(admin.may(Need::Room(&r)) && admin.may(Need::Close(&r)) && admin.may(Need::LookAt(&r)));
        assert!(!admin.may(Need::Room(&q)) && !admin.may(Need::LookAt(&q)) && !admin.may(Need::Look));
        assert!(!admit(r#"{"roomAdmin":true}"#).may(Need::Room(&r)), "of no room");
        assert!(admit(r#"{"roomAdmin":true,"room":"*"}"#).may(Need::Room(&q)));
        assert!(!admit(r#"{"room":"r"}"#).may(Need::LookAt(&r)));
        let create = admit(r#"{"roomCreate":true}"#);
        assert!(create.may(Need::Create) && create.may(Need::Close(&q)) && !create.may(Need::Room(&q)));
        let record = admit(r#"{"roomRecord":true,"roomList":true}"#);
        assert!(record.may(Need::Record) && record.may(Need::Look) && !record.may(Need::Users));
        assert!(admit(r#"{"serverAdmin":true}"#).may(Need::Server));
        assert!(!admit("{}").may(Need::Look));
        // Signed by who may look only, grants to act are worth nothing.
        let claims = format!(r#"{{"exp":{exp},"video":{{"serverAdmin":true}}}}"#);
        let read = all.admit(Some(&token("a key that may look only", &claims)), NOW).unwrap();
        assert!(read.may(Need::Look) && !read.may(Need::Server));
    }

    #[test]
    fn a_tokens_time_is_short_and_has_an_end() {
        let all = operators();
        let admit = |claims: String| all.admit(Some(&token("a key that may do everything", &claims)), NOW).is_some();
        let now = NOW.secs();
        assert!(admit(format!(r#"{{"exp":{}}}"#, now + LONGEST)));
        assert!(!admit("{}".into()), "no end");
        assert!(!admit(format!(r#"{{"exp":{now}}}"#)), "over");
        assert!(!admit(format!(r#"{{"exp":{}}}"#, now + LONGEST + SKEW + 1)), "too long");
        assert!(!admit(format!(r#"{{"exp":{},"nbf":{}}}"#, now + 60, now + SKEW + 1)), "not yet");
        assert!(!admit(format!(r#"{{"exp":"{}"}}"#, now + 60)), "not a number");
        let grants = Grants { room_list: true, ..Grants::default() };
        let made = all.issue(&grants, 60, NOW).unwrap();
        let first = all.admit(Some(&made), NOW).unwrap();
        let other = all.issue(&Grants::default(), 60, NOW).unwrap();
        assert!(first.may(Need::Look));
        assert_ne!(first.mark(), all.admit(Some(&other), NOW).unwrap().mark());
        assert_eq!(first.mark(), all.admit(Some(&all.issue(&grants, 90, NOW).unwrap()), NOW).unwrap().mark());
        assert_eq!(all.admit(Some(&made), NOW.plus(60_000)), None);
        assert!(all.issue(&grants, LONGEST + 1, NOW).is_none() && all.issue(&grants, 0, NOW).is_none());
    }
}
