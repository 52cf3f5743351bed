//! The embedded chat: groups, directory and connections of this process, each behind a lock of its own.
//! Carries what the state machine in `room::chat` decides. Knows no sockets and no HTTP.
//!
//! Order of locks: a poller's gate, a group, a part of the directory, a connection's queue. Never held across an await.

mod counters;
mod groups;
pub mod inbox;
mod kept;
pub mod link;
mod members;
pub mod nameless;
mod nodes;
mod notify;
mod presence;
pub mod tick;

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashMap};
use parking_lot::{Mutex, RwLock};
use room::chat::{Connected, ConnectionId, Counts, Direct, Directory, Gone, Nick, Posted, Refusal, Said, Transport};
use room::{Millis, RoomId, UserId};

use super::close::Close;
use super::{Settings, render};
use crate::bus::{Bus, Op};
pub use counters::Counters;
use groups::Groups;
use link::{Link, Login};
use nameless::Nameless;
use nodes::Nodes;
use store::clock::Clock;
use store::{ChatEntry, ChatRecord};

pub use members::Seen;
pub use notify::told;
pub use presence::{BACK_WITHIN, Taken};

/// Parts of the directory: few, because each may keep as much mail as its bound says.
const PARTS: usize = 4;
/// Clocks that differ by less, in milliseconds, show the same.
const STEPPED: u64 = 1_000;
/// Parts of the table of connections.
const LINK_PARTS: usize = 64;

/// The embedded chat.
pub struct Hub {
    /// What it did.
    pub counters: Counters,
    settings: RwLock<Arc<Settings>>,
    clock: Arc<dyn Clock>,
    groups: Groups,
    directory: [Part; PARTS],
    hash: DefaultHashBuilder,
    links: [RwLock<HashMap<ConnectionId, Arc<Link>>>; LINK_PARTS],
    counts: Mutex<Counts>,
    pollers: Mutex<tick::Pollers>,
    nameless: Mutex<Nameless>,
    signs: presence::Signs,
    next: AtomicU64,
    connected: AtomicUsize,
    stopping: AtomicBool,
    /// The other nodes, where there are some.
    nodes: Option<Nodes>,
    /// Where what is said is kept, if that outlives the process. The record's owner is who opened it: what it lets out comes
    /// back to this hub, and holding on to it here would keep both for ever.
    record: Option<Weak<dyn ChatRecord>>,
}

/// A part of the users.
#[derive(Default)]
struct Part {
    directory: Mutex<Directory>,
    /// Held while a long-polling client's connection is looked for and made, so that it gets one.
    gate: Mutex<()>,
}

impl Hub {
    /// An empty hub.
    #[must_use]
    pub fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            counters: Counters::default(),
            settings: RwLock::new(Arc::new(settings.clone())),
            clock,
            groups: Groups::default(),
            directory: Default::default(),
            hash: DefaultHashBuilder::default(),
            links: std::array::from_fn(|_| RwLock::default()),
            counts: Mutex::default(),
            pollers: Mutex::default(),
            nameless: Mutex::default(),
            signs: presence::Signs::default(),
            next: AtomicU64::new(1),
            connected: AtomicUsize::new(0),
            stopping: false.into(),
            nodes: None,
            record: None,
        }
    }

    /// An empty hub of one of several nodes.
    #[must_use]
    pub fn shared(settings: &Settings, clock: Arc<dyn Clock>, bus: Arc<Bus>) -> Self {
        Self { nodes: Some(Nodes::new(bus)), ..Self::new(settings, clock) }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.read().clone()
    }

    /// Other bounds from now on; connections that are there keep their queues and their pace.
    pub fn set_settings(&self, settings: &Settings) {
        *self.settings.write() = Arc::new(settings.clone());
    }

    /// Connections of both kinds.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    /// Whether no connection is let in any more.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// What is waited for goes by this.
    fn now(&self) -> Millis {
        self.clock.steady()
    }

    /// What is shown to people, as the time of a message, goes by this.
    fn wall(&self) -> Millis {
        self.clock.now()
    }

    /// When a sanction ends, as the wall shows it now: the two clocks differ for a while after the wall's was set.
    fn shown(&self, until: Millis) -> Millis {
        let wall = self.wall();
        let steady = self.now();
        if matches!(until, Millis(0) | Millis::NEVER) || wall.since(steady).max(steady.since(wall)) < STEPPED {
            return until;
        }
        Millis(until.0.saturating_add(wall.0).saturating_sub(steady.0))
    }

    /// A refusal as its user is to see it.
    fn refused(&self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::Muted { until } => Refusal::Muted { until: self.shown(until) },
            Refusal::Banned { until } => Refusal::Banned { until: self.shown(until) },
            other => other,
        }
    }

    fn part(&self, user: &UserId) -> &Part {
        // The remainder is below PARTS.
        &self.directory[(self.hash.hash_one(user) % PARTS as u64) as usize]
    }

    fn table(&self, id: ConnectionId) -> &RwLock<HashMap<ConnectionId, Arc<Link>>> {
        &self.links[(id.0 % LINK_PARTS as u64) as usize]
    }

    fn link(&self, id: ConnectionId) -> Option<Arc<Link>> {
        self.table(id).read().get(&id).cloned()
    }

    fn with_link(&self, id: ConnectionId, then: impl FnOnce(&Link)) {
        if let Some(link) = self.table(id).read().get(&id) {
            then(link);
        }
    }

    /// Lets a WebSocket in. `since` is the number of the last point-to-point message that the client has; `welcome`
    /// makes the first frame, before what waited.
    ///
    /// # Errors
    /// [`Refusal::TooManyConnections`], [`Refusal::Overloaded`].
    pub fn connect(
        &self,
        login: &Login<'_>,
        since: Option<u64>,
        welcome: impl FnOnce(&Connected) -> Bytes,
    ) -> Result<Arc<Link>, Refusal> {
        let link = Link::socket(self.fresh(), login, &self.settings());
        self.put_in(link, since, |link, connected| link.frame(|| welcome(connected)))
    }

    /// The connection of a long-polling client, made if it has none; a newer login takes an older one's place.
    ///
    /// # Errors
    /// [`Refusal::NoConnection`]: a newer login has its place. Else as [`Hub::connect`].
    pub fn poller(&self, login: &Login<'_>) -> Result<Arc<Link>, Refusal> {
        self.poller_from(login, None)
    }

    /// The same for a client at this address, of which only so many may be that have no name.
    ///
    /// # Errors
    /// As [`Hub::poller`].
    pub fn poller_from(&self, login: &Login<'_>, from: Option<IpAddr>) -> Result<Arc<Link>, Refusal> {
        let part = self.part(login.user);
        let _gate = part.gate.lock();
        if let Some(link) = self.poller_of(login.user)
            && let Some(inbox) = link.inbox()
        {
            if link.session == login.session {
                inbox.seen(self.now());
                return Ok(link);
            }
            if link.at > login.at {
                return Err(Refusal::NoConnection);
            }
        }
        let link = Link::poller(self.fresh(), login, from, &self.settings(), self.now());
        let link = self.put_in(link, None, |_, _| ())?;
        self.pollers.lock().watch(link.id, self.now());
        self.tell(|| Op::Login { user: login.user.clone(), session: login.session, at: login.at });
        Ok(link)
    }

    /// A long-polling client has logged in. Its connection is made at once, or, among several nodes, where it polls: a login
    /// names no user yet by which a balancer could send it there, and a connection that no client polls would take what waits
    /// for the user, for all nodes.
    ///
    /// # Errors
    /// As [`Hub::poller`].
    pub fn logged_in(&self, login: &Login<'_>) -> Result<(), Refusal> {
        if !self.is_shared() {
            return self.poller(login).map(drop);
        }
        self.end_older_poller(login.user, login.session, login.at);
        self.tell(|| Op::Login { user: login.user.clone(), session: login.session, at: login.at });
        Ok(())
    }

    /// Ends the connection of an older login than this one.
    fn end_older_poller(&self, user: &UserId, session: u64, at: Millis) {
        let older = self.poller_of(user).filter(|link| link.session != session && link.at <= at);
        if let Some(link) = older {
            link.end(Close::Replaced);
            self.disconnect(&link);
        }
    }

    /// The connection of a user's long-polling client, if it has one.
    #[must_use]
    pub fn poller_of(&self, user: &UserId) -> Option<Arc<Link>> {
        let directory = self.part(user).directory.lock();
        let (id, _) = directory.connections(user).find(|(_, transport)| *transport == Transport::Poller)?;
        self.link(id)
    }

    fn fresh(&self) -> ConnectionId {
        ConnectionId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn put_in(
        &self,
        link: Link,
        since: Option<u64>,
        welcome: impl FnOnce(&Link, &Connected),
    ) -> Result<Arc<Link>, Refusal> {
        if self.connections() >= self.settings().max_connections || self.stopping.load(Ordering::Relaxed) {
            return Err(Refusal::Overloaded);
        }
        if nameless::is(&link.user) {
            self.nameless.lock().enter(link.from, &self.settings())?;
        }
        let id = link.id;
        let link = Arc::new(link);
        // In the table first: a connection that is in the directory is always found.
        self.table(id).write().insert(id, link.clone());
        self.connected.fetch_add(1, Ordering::Relaxed);
        let mut directory = self.part(&link.user).directory.lock();
        let connected = match directory.connect(self.now(), &link.user, id, link.transport(), since) {
            Ok(connected) => connected,
            Err(refusal) => {
                drop(directory);
                self.forget(id);
                return Err(refusal);
            }
        };
        Counters::add(&self.counters.connected, 1);
        welcome(&link, &connected);
        link.waited(&connected.waiting);
        drop(directory);
        if let Some(newest) = connected.waiting.last() {
            self.note_handed(&link.user, newest.seq);
            self.tell(|| Op::Handed { user: link.user.clone(), seq: newest.seq });
        }
        if let Some((old, gone)) = connected.replaced {
            if let Some(old) = self.link(old) {
                old.end(Close::Replaced);
                self.quit_all(&old, gone);
            }
            self.forget(old);
        }
        // A stop that came meanwhile has not seen this one.
        if self.stopping.load(Ordering::SeqCst) {
            link.end(Close::Stopping);
        }
        Ok(link)
    }

    /// Takes a connection out of everything.
    pub fn disconnect(&self, link: &Link) {
        let gone = self.part(&link.user).directory.lock().disconnect(self.now(), &link.user, link.id);
        if let Some(gone) = gone {
            self.quit_all(link, gone);
        }
        self.forget(link.id);
    }

    fn quit_all(&self, link: &Link, gone: Gone) {
        for group in gone.groups {
            self.take_out(&group, link);
        }
    }

    fn forget(&self, id: ConnectionId) {
        let gone = self.table(id).write().remove(&id);
        if let Some(gone) = gone {
            self.connected.fetch_sub(1, Ordering::Relaxed);
            if nameless::is(&gone.user) {
                self.nameless.lock().leave(gone.from);
            }
        }
    }

    /// Ends the connections of a session that logged out.
    pub fn end_session(&self, user: &UserId, session: u64) {
        self.end_where(user, Close::SessionEnded, |link| link.session == session);
        self.tell(|| Op::Ended { user: user.clone(), session: Some(session) });
    }

    /// Ends all connections of a user, at an operator's wish.
    pub fn end_user(&self, user: &UserId) {
        self.end_where(user, Close::Operator, |_| true);
        self.tell(|| Op::Ended { user: user.clone(), session: None });
    }

    fn end_where(&self, user: &UserId, why: Close, which: impl Fn(&Link) -> bool) {
        let ids: Vec<_> = self.part(user).directory.lock().connections(user).collect();
        for link in ids.into_iter().filter_map(|(id, _)| self.link(id)).filter(|link| which(link)) {
            link.end(why);
            // A WebSocket's task takes it out when it is closed; a poller has no task.
            if link.transport() == Transport::Poller {
                self.disconnect(&link);
            }
        }
    }

    /// Sets or takes back a connected user's nick name.
    ///
    /// # Errors
    /// [`Refusal::NoConnection`].
    pub fn set_nick(&self, user: &UserId, nick: Option<Nick>) -> Result<(), Refusal> {
        self.part(user).directory.lock().set_nick(user, nick)
    }

    /// A user's nick name.
    #[must_use]
    pub fn nick(&self, user: &UserId) -> Option<Nick> {
        self.part(user).directory.lock().nick(user)
    }

    /// Takes a point-to-point message to all connections of a user at this node; it waits for one who is briefly away.
    fn send_direct_here(
        &self,
        to: &UserId,
        client_seq: Option<u64>,
        said: Said,
    ) -> Result<(Posted, Option<kept::Kept>), Refusal> {
        let mut directory = self.part(to).directory.lock();
        let posted = directory.send(self.now(), self.wall(), to, client_seq, said)?;
        if posted.again {
            return Ok((posted, None));
        }
        let message = posted.message.clone();
        let handed = !posted.waits;
        let noted = self.note(|| ChatEntry::Direct { message, handed });
        if !posted.waits {
            self.carry_direct(&directory, &posted.message);
        }
        Ok((posted, noted))
    }

    fn carry_direct(&self, directory: &Directory, message: &Arc<Direct>) {
        let frame = render::direct_event(message);
        Counters::add(&self.counters.direct, 1);
        for (id, _) in directory.connections(&message.to) {
            Counters::add(&self.counters.deliveries, 1);
            self.with_link(id, |link| link.direct(message, &frame));
        }
    }

    /// What a user says, with its nick name of now.
    #[must_use]
    pub fn said(&self, from: &UserId, random: Option<u64>, body: room::chat::Body) -> Said {
        Said { from: from.clone(), nick: self.nick(from), random, body }
    }

    /// The groups that a connection is in.
    #[must_use]
    pub fn groups_of(&self, link: &Link) -> Vec<RoomId> {
        self.part(&link.user).directory.lock().groups(&link.user, link.id).to_vec()
    }
}
