//! How much an address, a user and all callers together may ask, and how many connections an address may hold. Owns the
//! bounds and the memory of who asked; knows no protocol: each protocol says in its own words how long to wait.

mod chatter;
mod rate;
mod table;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use room::UserId;
use serde::{Deserialize, Serialize};

pub use chatter::Chatter;
pub use rate::{Party, Rate};
use table::{Common, Table};

/// `[limits]`. Rates are `20/s 100`: 20 a second (or `/min`, `/h`) in the long run, 100 at once; empty: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Calls of an address, of all kinds.
    pub address_calls: Rate,
    /// Logins of an address.
    pub address_logins: Rate,
    /// Reports of an address' clients.
    pub address_reports: Rate,
    /// Rooms that an address creates.
    pub address_creates: Rate,
    /// Rooms and streams that an address enters, pushes or plays.
    pub address_joins: Rate,
    /// New connections of an address.
    pub address_connects: Rate,
    /// Most connections of an address at a time, of HTTP and RTMP each.
    pub address_connections: usize,
    /// UDP datagrams of an address that no WebRTC session has answered yet.
    pub address_datagrams: Rate,
    /// Calls of a user, of all kinds.
    pub user_calls: Rate,
    /// Logins of a user.
    pub user_logins: Rate,
    /// Rooms that a user creates.
    pub user_creates: Rate,
    /// Rooms that a user enters, and streams that it pushes and plays by RTMP.
    pub user_joins: Rate,
    /// Chat requests of a user over all of its connections, WebSockets and long polls.
    pub user_messages: Rate,
    /// Streams that a user pushes and plays at a time, as far as it is known who does.
    pub user_streams: usize,
    /// Viewers of a stream at a time, over all protocols.
    pub stream_viewers: usize,
    /// Calls of all callers together.
    pub all_calls: Rate,
    /// Logins of all callers together.
    pub all_logins: Rate,
    /// New connections of all callers together.
    pub all_connects: Rate,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address_calls: Rate::per_second(200, 2000),
            address_logins: Rate::per_second(20, 400),
            address_reports: Rate::per_second(1, 60),
            address_creates: Rate::per_second(5, 100),
            address_joins: Rate::per_second(50, 1000),
            address_connects: Rate::per_second(100, 2000),
            address_connections: 5000,
            address_datagrams: Rate::per_second(1000, 5000),
            user_calls: Rate::per_second(20, 200),
            user_logins: Rate::per_minute(60, 60),
            user_creates: Rate::per_second(1, 20),
            user_joins: Rate::per_second(5, 50),
            user_messages: Rate::per_second(40, 200),
            user_streams: 100,
            stream_viewers: 100_000,
            all_calls: Rate::default(),
            all_logins: Rate::default(),
            all_connects: Rate::default(),
        }
    }
}

impl Settings {
    /// Adds what is wrong with these settings.
    pub fn problems(&self, found: &mut Vec<String>) {
        for (name, least) in [
            ("address_connections", self.address_connections),
            ("user_streams", self.user_streams),
            ("stream_viewers", self.stream_viewers),
        ] {
            if least == 0 {
                found.push(format!("limits.{name} must be at least 1"));
            }
        }
    }
}

/// What is asked for, each of which is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Budget {
    /// Any call.
    Call,
    /// A session, or a signature for one.
    Login,
    /// A room.
    Create,
    /// To enter a room, to push or to play a stream.
    Join,
    /// A connection.
    Connect,
    /// A chat request.
    Message,
    /// A stream more.
    Stream,
    /// A report of a client's, which is logged.
    Report,
}

impl Budget {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Call, Self::Login, Self::Create, Self::Join, Self::Connect, Self::Message, Self::Stream, Self::Report];

    /// The label of its figures.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Login => "login",
            Self::Create => "create",
            Self::Join => "join",
            Self::Connect => "connect",
            Self::Message => "message",
            Self::Stream => "stream",
            Self::Report => "report",
        }
    }
}

/// Who is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// An address.
    Address,
    /// A user.
    User,
    /// All callers.
    All,
}

impl Whose {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Address, Self::User, Self::All];

    /// The label of its figures.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::User => "user",
            Self::All => "all",
        }
    }
}

/// Too much was asked for. Holds the seconds after which to come back, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch(pub u32);

/// Connections that parties have, in parts with a lock each. As large as there are connections.
type Held = [Mutex<HashMap<Party, usize>>; 16];

/// The limits of a running server.
pub struct Limits {
    settings: RwLock<Settings>,
    begun: Instant,
    table: Table,
    calls: Common,
    logins: Common,
    connects: Common,
    held: Arc<Held>,
    refused: [[AtomicU64; Budget::ALL.len()]; Whose::ALL.len()],
}

/// A connection that counts, until this is dropped.
pub struct Place(Option<(Arc<Held>, Party)>);

impl Place {
    /// One without a count.
    #[must_use]
    pub const fn free() -> Self {
        Self(None)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((held, party)) = self.0.take() else { return };
        let mut held = part(&held, party).lock();
        if let Some(count) = held.get_mut(&party) {
            *count -= 1;
            if *count == 0 {
                held.remove(&party);
            }
        }
    }
}

fn part(held: &Held, party: Party) -> &Mutex<HashMap<Party, usize>> {
    &held[party.spread() % held.len()]
}

impl Limits {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            settings: RwLock::new(*settings),
            begun: Instant::now(),
            table: Table::default(),
            calls: Common::default(),
            logins: Common::default(),
            connects: Common::default(),
            held: Arc::default(),
            refused: Default::default(),
        }
    }

    /// The settings of now.
    #[must_use]
    pub fn settings(&self) -> Settings {
        *self.settings.read()
    }

    /// Other bounds from now on, by which all counts begin anew: what was spent was counted in the time of the old ones.
    /// Connections that are open stay.
    pub fn set(&self, settings: &Settings) {
        if std::mem::replace(&mut *self.settings.write(), *settings) != *settings {
            self.table.forget();
            [&self.calls, &self.logins, &self.connects].into_iter().for_each(Common::forget);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn refuse(&self, whose: Whose, what: Budget, wait: u64) -> TooMuch {
        self.note(whose, what);
        TooMuch(u32::try_from(wait.div_ceil(1_000_000)).unwrap_or(u32::MAX).max(1))
    }

    /// Counts a refusal that was decided elsewhere.
    pub fn note(&self, whose: Whose, what: Budget) {
        self.refused[whose as usize][what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often was refused.
    #[must_use]
    pub fn refused(&self, whose: Whose, what: Budget) -> u64 {
        self.refused[whose as usize][what as usize].load(Ordering::Relaxed)
    }

    /// A call of an address. This machine itself is not limited.
    ///
    /// # Errors
    /// [`TooMuch`].
    pub fn address(&self, address: IpAddr, what: Budget) -> Result<(), TooMuch> {
        if address.to_canonical().is_loopback() {
            return Ok(());
        }
        self.address_at(address, what, self.now())
    }

    fn address_at(&self, address: IpAddr, what: Budget, now: u64) -> Result<(), TooMuch> {
        let party = Party::from(address);
        let settings = self.settings();
        let call = Budget::Call;
        let take = |what: Budget, rate| {
            self.table.take(&(party, what), rate, now).map_err(|wait| (Whose::Address, what, wait))
        };
        let all = |common: &Common, what, rate| common.take(rate, now).map_err(|wait| (Whose::All, what, wait));
        let decided =
            match what {
                Budget::Connect => take(what, settings.address_connects)
                    .and_then(|()| all(&self.connects, what, settings.all_connects)),
                _ => take(call, settings.address_calls)
                    .and_then(|()| match what {
                        Budget::Login => take(what, settings.address_logins)
                            .and_then(|()| all(&self.logins, what, settings.all_logins)),
                        Budget::Create => take(what, settings.address_creates),
                        Budget::Join => take(what, settings.address_joins),
                        Budget::Report => take(what, settings.address_reports),
                        _ => Ok(()),
                    })
                    .and_then(|()| all(&self.calls, call, settings.all_calls)),
            };
        decided.map_err(|(whose, what, wait)| self.refuse(whose, what, wait))
    }

    /// A call or request of a user who comes from an address. Callers on this machine are not limited.
    ///
    /// # Errors
    /// [`TooMuch`].
    pub fn user(&self, user: &UserId, from: Option<IpAddr>, what: Budget) -> Result<(), TooMuch> {
        if from.is_none_or(|from| from.to_canonical().is_loopback()) {
            return Ok(());
        }
        self.user_at(user, what, self.now())
    }

    fn user_at(&self, user: &UserId, what: Budget, now: u64) -> Result<(), TooMuch> {
        let settings = self.settings();
        let take = |what: Budget, rate| self.table.take(&(user.as_str(), what), rate, now).map_err(|wait| (what, wait));
        let decided = match what {
            Budget::Message => take(what, settings.user_messages),
            // Not one of the user's calls: nobody knew yet whose it was when it came.
            Budget::Login => take(what, settings.user_logins),
            _ => take(Budget::Call, settings.user_calls).and_then(|()| match what {
                Budget::Create => take(what, settings.user_creates),
                Budget::Join => take(what, settings.user_joins),
                _ => Ok(()),
            }),
        };
        decided.map_err(|(what, wait)| self.refuse(Whose::User, what, wait))
    }

    /// A connection of an address, counted until the place is dropped.
    ///
    /// # Errors
    /// [`TooMuch`]: of them at a time, or in this time.
    pub fn connect(&self, address: IpAddr) -> Result<Place, TooMuch> {
        if address.to_canonical().is_loopback() {
            return Ok(Place(None));
        }
        let party = Party::from(address);
        {
            let mut held = part(&self.held, party).lock();
            let count = held.entry(party).or_default();
            if *count >= self.settings().address_connections {
                drop(held);
                return Err(self.refuse(Whose::Address, Budget::Connect, 0));
            }
            *count += 1;
        }
        let place = Place(Some((self.held.clone(), party)));
        self.address_at(address, Budget::Connect, self.now())?;
        Ok(place)
    }
}

#[cfg(test)]
mod tests;
