//! Sessions: a stateless token for each login, and the short list of those that logged out.

use aws_lc_rs::digest;
use hashbrown::HashMap;
use parking_lot::RwLock;
use room::{Millis, RoomId, UserId};
use serde::{Deserialize, Serialize};
use sign::Invalid;
use sign::token::{self, Claims, Generation, Keyring, Purpose};

use sign::Secret;
use store::clock::Clock;
use store::logouts::Table;
use store::{EndedBefore, Logouts, Store};

/// How often other nodes' logouts are asked for.
const FOLLOW: std::time::Duration = std::time::Duration::from_secs(1);

/// Milliseconds between two looks for sessions that need not be refused any more.
const CLEAN: u64 = 60_000;
/// Logouts of one user that are kept one by one. Beyond, the older half becomes one mark, which refuses all that was issued to the
/// user before: else whoever logs in and out again and again fills the memory.
const ONE_BY_ONE: usize = 64;

/// `[sessions]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Signs the tokens; every node of a cluster has the same.
    pub secret: Secret,
    /// Keys that tokens issued earlier may still be signed with.
    pub previous_secrets: Vec<Secret>,
    /// Seconds for which a token is good.
    pub lifetime: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { secret: Secret::default(), previous_secrets: Vec::new(), lifetime: 30 * 24 * 3600 }
    }
}

/// A user who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who.
    pub user: UserId,
    /// The client's generation: what shape `custom` has.
    pub generation: Generation,
    /// The number of this login.
    pub id: u64,
    /// Until when the token is good.
    pub expires: Millis,
}

impl Session {
    /// Whether there was no login: a client of 2017.
    #[must_use]
    pub fn token_is_none(&self) -> bool {
        self.id == 0
    }
}

/// The key of a long poll: who may ask for the messages of which group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollKey {
    /// Whose it is.
    pub user: UserId,
    /// The group.
    pub group: RoomId,
    /// The login behind it.
    pub session: u64,
    /// When it was made.
    pub at: Millis,
    /// Until when it is good.
    pub expires: Millis,
}

/// A login of a chat client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatLogin {
    /// Who.
    pub user: UserId,
    /// The number of this login: its `tinyid`.
    pub id: u64,
    /// When it was.
    pub at: Millis,
    /// Until when it is good.
    pub expires: Millis,
}

/// Issues, checks and revokes tokens.
#[derive(Debug)]
pub struct Sessions {
    keyring: Keyring,
    lifetime: u64,
    /// Logged-out sessions until their tokens would have expired.
    revoked: RwLock<Revoked>,
}

/// Sessions that ended early.
#[derive(Debug, Default)]
struct Revoked {
    all: Table,
    /// Those that ended here, by user, oldest first.
    here: HashMap<u64, Vec<Ended>>,
    /// When those were last let go of whose tokens had expired.
    cleaned: Millis,
}

/// A session that ended.
#[derive(Debug)]
struct Ended {
    session: u64,
    /// When.
    at: Millis,
    /// Until when it would have been good.
    until: Millis,
}

impl Revoked {
    /// Lets go of what has expired, now and then: each look costs as much as all that are kept.
    fn clean(&mut self, now: Millis) {
        self.all.clean(now);
        if now >= self.cleaned.plus(CLEAN) || now < self.cleaned {
            self.here.retain(|_, ended| {
                ended.retain(|one| one.until >= now);
                !ended.is_empty()
            });
            self.cleaned = now;
        }
    }
}

/// A user as a number: the same at every node and always, and not another user's.
fn number_of(user: &str) -> u64 {
    let hash = digest::digest(&digest::SHA256, user.as_bytes());
    hash.as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes)
}

impl Sessions {
    /// Reads the keys.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let keyring =
            Keyring::new(&settings.secret, &settings.previous_secrets).map_err(|e| format!("sessions.secret: {e}"))?;
        Ok(Self { keyring, lifetime: settings.lifetime.saturating_mul(1000), revoked: RwLock::default() })
    }

    /// A token for a new login.
    ///
    /// # Errors
    /// The user id is longer than a token holds.
    pub fn open(&self, user: &UserId, generation: Generation, now: Millis) -> Result<String, Invalid> {
        self.issue(Purpose::Session, user.as_str(), generation, sign::fresh_id(), now)
    }

    /// A new login of a chat client: what it is, and its `a2`.
    ///
    /// # Errors
    /// The user id is longer than a token holds.
    pub fn open_chat(&self, user: &UserId, now: Millis) -> Result<(ChatLogin, String), Invalid> {
        let login = ChatLogin { user: user.clone(), id: sign::fresh_id(), at: now, expires: now.plus(self.lifetime) };
        let a2 = self.issue(Purpose::ChatLogin, user.as_str(), Generation::First, login.id, now)?;
        Ok((login, a2))
    }

    /// The login that a chat client's `tinyid` and `a2` stand for.
    ///
    /// # Errors
    /// The token is not ours, expired, revoked, or of another login.
    pub fn check_chat(&self, tiny_id: &str, a2: &str, now: Millis) -> Result<ChatLogin, Invalid> {
        let claims = self.verify(Purpose::ChatLogin, a2, now)?;
        if tiny_id.parse() != Ok(claims.session) {
            return Err(Invalid::Mismatch("tinyid"));
        }
        let user = UserId::parse(&claims.user_id).map_err(|_| Invalid::Malformed("userID"))?;
        Ok(ChatLogin { user, id: claims.session, at: Millis(claims.issued_at), expires: Millis(claims.expires_at) })
    }

    /// A key for long polls of a group.
    ///
    /// # Errors
    /// The names are longer than a token holds.
    pub fn open_poll(&self, user: &UserId, session: u64, group: &RoomId, now: Millis) -> Result<String, Invalid> {
        // Neither holds a space.
        self.issue(Purpose::LongPoll, &format!("{user} {group}"), Generation::First, session, now)
    }

    /// What a key for long polls says.
    ///
    /// # Errors
    /// The key is not ours, expired, or of a login that was revoked.
    pub fn check_poll(&self, key: &str, now: Millis) -> Result<PollKey, Invalid> {
        let claims = self.verify(Purpose::LongPoll, key, now)?;
        let (user, group) = claims.user_id.split_once(' ').ok_or(Invalid::Malformed("key"))?;
        let user = UserId::parse(user).map_err(|_| Invalid::Malformed("userID"))?;
        let group = RoomId::parse(group).map_err(|_| Invalid::Malformed("roomID"))?;
        let at = Millis(claims.issued_at);
        let expires = Millis(claims.expires_at);
        Ok(PollKey { user, group, session: claims.session, at, expires })
    }

    fn verify(&self, purpose: Purpose, token: &str, now: Millis) -> Result<Claims, Invalid> {
        let claims = token::verify(&self.keyring, purpose, token, now.0)?;
        // What a key for long polls says has the user first.
        let who = || number_of(claims.user_id.split(' ').next().unwrap_or_default());
        let revoked = self.revoked.read().all.has(claims.session, Millis(claims.issued_at), who);
        if revoked { Err(Invalid::Expired) } else { Ok(claims) }
    }

    fn issue(
        &self,
        purpose: Purpose,
        user: &str,
        generation: Generation,
        session: u64,
        now: Millis,
    ) -> Result<String, Invalid> {
        let claims = Claims {
            user_id: user.to_owned(),
            session,
            generation,
            issued_at: now.0,
            expires_at: now.plus(self.lifetime).0,
        };
        token::issue(&self.keyring, purpose, &claims)
    }

    /// The session that a token stands for, which must be this user's.
    ///
    /// # Errors
    /// The token is not ours, expired, revoked, or another user's.
    pub fn check(&self, user: &str, token: &str, now: Millis) -> Result<Session, Invalid> {
        let claims = self.verify(Purpose::Session, token, now)?;
        if claims.user_id != user {
            return Err(Invalid::Mismatch("userID"));
        }
        let user = UserId::parse(&claims.user_id).map_err(|_| Invalid::Malformed("userID"))?;
        Ok(Session { user, generation: claims.generation, id: claims.session, expires: Millis(claims.expires_at) })
    }

    /// Refuses the tokens of sessions that ended elsewhere or before a restart.
    pub fn refuse(&self, ended: &Logouts, now: Millis) {
        let mut revoked = self.revoked.write();
        revoked.all.take(ended);
        revoked.clean(now);
    }

    /// Refuses for ever what is revoked at other nodes, a second later at most.
    pub async fn follow(&self, store: &dyn Store, clock: &dyn Clock) {
        // All that is kept at first: who logged out before this node was there, or while Redis was away, stays out.
        let mut since = Millis(0);
        loop {
            tokio::time::sleep(FOLLOW).await;
            let now = clock.now();
            // While the store is unavailable no logout is known; then what was missed is asked for.
            if let Ok(revoked) = store.revoked(since).await {
                self.refuse(&revoked, now);
                since = now;
            }
        }
    }

    /// Ends a session: its token is refused from now on. What comes back is for the store, beside the session's own end: one mark
    /// for many of this user's logouts.
    #[must_use]
    pub fn close(&self, session: &Session, now: Millis) -> Option<EndedBefore> {
        self.revoke(&session.user, session.id, session.expires, now)
    }

    /// Ends the login of a chat client, and its long polls; as [`close`](Self::close).
    #[must_use]
    pub fn close_chat(&self, login: &ChatLogin, now: Millis) -> Option<EndedBefore> {
        self.revoke(&login.user, login.id, login.expires, now)
    }

    fn revoke(&self, user: &UserId, session: u64, until: Millis, now: Millis) -> Option<EndedBefore> {
        let who = number_of(user.as_str());
        let mut revoked = self.revoked.write();
        let Revoked { all, here, .. } = &mut *revoked;
        all.end(session, until);
        let ended = here.entry(who).or_default();
        ended.push(Ended { session, at: now, until });
        let many = (ended.len() > ONE_BY_ONE).then(|| ended.drain(..ONE_BY_ONE / 2).collect::<Vec<_>>());
        let mark = many.map(|many| {
            // No token of before outlives one that is issued now.
            let at = many.iter().map(|one| one.at).max().unwrap_or_default();
            let until = many.iter().map(|one| one.until).fold(at.plus(self.lifetime), Millis::max);
            EndedBefore { who, at, until, ended: many.into_iter().map(|one| one.session).collect() }
        });
        if let Some(mark) = &mark {
            all.end_before(mark);
        }
        revoked.clean(now);
        mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(sessions: &[(u64, Millis)]) -> Logouts {
        Logouts { ended: sessions.into(), before: Vec::new() }
    }

    #[test]
    fn many_logouts_of_a_user_are_a_few_entries_and_hold_all_the_same() {
        let settings = Settings { secret: Secret::new("0123456789abcdef"), ..Settings::default() };
        let sessions = Sessions::new(&settings).unwrap();
        let alice = UserId::parse("alice").unwrap();
        let room = RoomId::parse("room").unwrap();
        let begun = Millis(1_700_000_000_000);
        let at = |n: u64| begun.plus(n * 1000);
        let others = sessions.open(&UserId::parse("bob").unwrap(), Generation::Second, begun).unwrap();
        // What a store has been told, as one that was restarted has it.
        let mut kept = Table::default();
        let mut tokens = Vec::new();
        let mut logins = Vec::new();
        for n in 0..1000 {
            let token = sessions.open(&alice, Generation::Second, at(n)).unwrap();
            let session = sessions.check("alice", &token, at(n)).unwrap();
            let (login, a2) = sessions.open_chat(&alice, at(n)).unwrap();
            let key = sessions.open_poll(&alice, login.id, &room, at(n)).unwrap();
            kept.end(session.id, session.expires);
            sessions.close(&session, at(n)).iter().for_each(|mark| kept.end_before(mark));
            kept.end(login.id, login.expires);
            sessions.close_chat(&login, at(n)).iter().for_each(|mark| kept.end_before(mark));
            tokens.push(token);
            logins.push((login, a2, key));
        }
        let new = sessions.open(&alice, Generation::Second, at(1000)).unwrap();
        let restarted = Sessions::new(&settings).unwrap();
        restarted.refuse(&kept.all(), at(1000));
        for sessions in [&sessions, &restarted] {
            let len = sessions.revoked.read().all.len();
            assert!(len <= ONE_BY_ONE + 1, "{len}");
            for token in &tokens {
                assert_eq!(sessions.check("alice", token, at(1000)), Err(Invalid::Expired));
            }
            for (login, a2, key) in &logins {
                assert_eq!(sessions.check_chat(&login.id.to_string(), a2, at(1000)), Err(Invalid::Expired));
                assert_eq!(sessions.check_poll(key, at(1000)), Err(Invalid::Expired));
            }
            assert!(sessions.check("alice", &new, at(1000)).is_ok());
            assert!(sessions.check("bob", &others, at(1000)).is_ok(), "another user's login of before goes on");
        }
        // All of it ends with the tokens.
        let over = at(1000).plus(settings.lifetime * 1000 + 1);
        sessions.refuse(&Logouts::default(), over);
        assert!(sessions.revoked.read().all.is_empty() && sessions.revoked.read().here.is_empty());
    }

    #[test]
    fn a_token_is_its_users_until_logout_or_expiry() {
        let settings = Settings { secret: Secret::new("0123456789abcdef"), ..Settings::default() };
        let sessions = Sessions::new(&settings).unwrap();
        let alice = UserId::parse("alice").unwrap();
        let now = Millis(1_000);
        let token = sessions.open(&alice, Generation::Second, now).unwrap();
        let session = sessions.check("alice", &token, now).unwrap();
        assert_eq!((session.user.as_str(), session.generation), ("alice", Generation::Second));
        assert_eq!(sessions.check("bob", &token, now), Err(Invalid::Mismatch("userID")));
        assert_eq!(sessions.check("alice", &token, session.expires.plus(1)), Err(Invalid::Expired));
        let other = sessions.open(&alice, Generation::First, now).unwrap();
        assert_eq!(sessions.close(&session, now), None);
        assert_eq!(sessions.check("alice", &token, now), Err(Invalid::Expired));
        assert!(sessions.check("alice", &other, now).is_ok(), "another login of the same user goes on");
        let restarted = Sessions::new(&settings).unwrap();
        assert!(restarted.check("alice", &token, now).is_ok());
        restarted.refuse(&ended(&[(session.id, session.expires), (1, now.plus(1))]), now);
        restarted.refuse(&ended(&[(session.id, session.expires)]), now);
        assert_eq!(restarted.check("alice", &token, now), Err(Invalid::Expired));
        assert!(restarted.check("alice", &other, now).is_ok());
    }

    #[test]
    fn logouts_are_forgotten_once_a_minute_and_not_before_their_time() {
        let settings = Settings { secret: Secret::new("0123456789abcdef"), lifetime: 100, ..Settings::default() };
        let sessions = Sessions::new(&settings).unwrap();
        let log_out_at = |now: Millis| {
            let alice = UserId::parse(&format!("alice{}", now.0)).unwrap();
            let (login, a2) = sessions.open_chat(&alice, now).unwrap();
            let _ = sessions.close_chat(&login, now);
            (login, a2)
        };
        let kept = || sessions.revoked.read().all.len();
        let begun = Millis(1_000_000);
        let (first, a2) = log_out_at(begun);
        for at in 1..=90 {
            log_out_at(begun.plus(at * 1000));
        }
        assert_eq!(kept(), 91);
        assert!(sessions.check_chat(&first.id.to_string(), &a2, begun.plus(90_000)).is_err());
        log_out_at(begun.plus(110_000));
        assert_eq!(kept(), 92, "those of before wait for the next look");
        log_out_at(begun.plus(121_000));
        assert_eq!(kept(), 92 + 1 - 21);
        sessions.refuse(&ended(&[(1, begun), (2, Millis::NEVER)]), begun.plus(900_000));
        assert_eq!(kept(), 1);
        // A clock that was set back does not keep them for ever.
        sessions.refuse(&ended(&[(3, Millis(5000))]), Millis(1000));
        sessions.refuse(&ended(&[]), Millis(61_000));
        assert_eq!(kept(), 1);
    }

    #[test]
    fn chat_logins_and_poll_keys_are_things_of_their_own() {
        let settings = Settings { secret: Secret::new("0123456789abcdef"), ..Settings::default() };
        let sessions = Sessions::new(&settings).unwrap();
        let alice = UserId::parse("alice").unwrap();
        let room = RoomId::parse("room").unwrap();
        let now = Millis(1_000);
        let (login, a2) = sessions.open_chat(&alice, now).unwrap();
        let tiny = login.id.to_string();
        assert_eq!(sessions.check_chat(&tiny, &a2, now), Ok(login.clone()));
        assert_eq!(sessions.check_chat("1", &a2, now), Err(Invalid::Mismatch("tinyid")));
        assert!(sessions.check("alice", &a2, now).is_err(), "it is no session of the rooms");
        let key = sessions.open_poll(&alice, login.id, &room, now).unwrap();
        let said = sessions.check_poll(&key, now).unwrap();
        assert_eq!((said.user, said.group, said.session), (alice, room, login.id));
        assert!(sessions.check_chat(&tiny, &key, now).is_err());
        assert_eq!(sessions.close_chat(&login, now), None);
        assert_eq!(sessions.check_chat(&tiny, &a2, now), Err(Invalid::Expired));
        assert_eq!(sessions.check_poll(&key, now), Err(Invalid::Expired));
    }
}
