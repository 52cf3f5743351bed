//! Viewers who broke off and did not come back leave their audiences; who comes back after that is put back. What was seen of them comes
//! from the embedded chat or from a chat service elsewhere. What is waited for stands in this process, or in the store where several
//! nodes share one.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use room::presence::{Follows, Out, Presence, Seen, Sign, Who};
use room::{Millis, RoomId, UserId};
use store::Presences;
use store::error::Error;
use tokio::time::MissedTickBehavior;

use super::Rooms;
use chat::Hub;
use chat::hub::BACK_WITHIN;

/// How long a viewer whom a chat service elsewhere cannot reach has to be back, in milliseconds.
pub(super) const UNREACHABLE: u64 = 45_000;
/// How often what was seen is taken in.
const TAKE: Duration = Duration::from_secs(1);
/// Every so many times it is looked at nodes that share a store.
const LOOK: u32 = 5;
/// Viewers taken out at once.
const AT_ONCE: usize = 256;

/// What this process keeps of that.
#[derive(Default)]
pub(super) struct Kept {
    /// A chat service elsewhere says who can be reached, late.
    elsewhere: bool,
    /// Not used where nodes share a store.
    here: Mutex<Presence>,
}

impl Kept {
    /// A viewer's own word.
    pub(super) fn forget(&self, room: &RoomId, user: &UserId) {
        self.here.lock().forget(room, user);
    }
}

impl Rooms {
    /// A chat service elsewhere says who can be reached.
    #[must_use]
    pub fn with_chat_elsewhere(self) -> Self {
        Self { presence: Kept { elsewhere: true, ..self.presence }, ..self }
    }

    /// A viewer says itself that it watches.
    pub(super) async fn says_it_watches(&self, room: &RoomId, user: &UserId) {
        self.presence.forget(room, user);
        // A service that speaks late must not take it out for what was before.
        if self.presence.elsewhere
            && let Err(error) = self.service_saw(room, user, Sign::Here, self.clock.now()).await
        {
            tracing::debug!(%room, %user, %error, "other nodes do not know that a viewer is back");
        }
    }

    /// A chat service elsewhere saw this at that time.
    pub(super) async fn service_saw(&self, room: &RoomId, user: &UserId, sign: Sign, at: Millis) -> Result<(), Error> {
        let seen = [Seen { room: room.clone(), user: user.clone(), sign, at: Some(at) }];
        match self.store.presences() {
            Some(presences) => {
                let changed = presences.seen(None, &seen, self.clock.steady()).await?;
                changed.iter().for_each(|room| self.audience_changed(room));
                Ok(())
            }
            None => self.take_in(&seen).await,
        }
    }

    /// Takes in what is seen of viewers, and takes those out who stay away, for as long as the server runs. The hub is none where a chat
    /// service elsewhere says it.
    pub async fn keep_presence(self: Arc<Self>, hub: Option<Arc<Hub>>) {
        let mut tick = tokio::time::interval(TAKE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if self.store.presences().is_none() {
            self.wait_for_those_of_before(hub.as_deref());
        }
        // Before a node has begun, no other would look for those whom it had.
        let mut begun = hub.is_none();
        for n in 0u32.. {
            tick.tick().await;
            let done = match self.store.presences() {
                Some(presences) if n.is_multiple_of(LOOK) || !begun => {
                    self.look_around(presences, hub.as_deref(), &mut begun).await
                }
                Some(presences) => self.say_who_is_here(presences, hub.as_deref()).await,
                None => self.take_absent_out(hub.as_deref()).await,
            };
            if let Err(error) = done {
                tracing::debug!(%error, "who watches is not looked at now");
            }
        }
    }

    /// After a restart the audiences are there. Who is not back in the embedded chat in time leaves them.
    fn wait_for_those_of_before(&self, hub: Option<&Hub>) {
        let now = self.clock.steady();
        for (room, user) in self.store.watching() {
            self.audience_changed(&room);
            if hub.is_some() {
                let seen = Seen { room, user, sign: Sign::Away(now.plus(BACK_WITHIN)), at: None };
                self.presence.here.lock().take(&seen, now);
            }
        }
    }

    /// Takes in what was seen, and takes those out who are away for too long now: where no other node is.
    ///
    /// # Errors
    /// The store is away.
    pub async fn take_absent_out(&self, hub: Option<&Hub>) -> Result<(), Error> {
        if let Some(hub) = hub {
            let taken = hub.take_signs();
            if taken.forgot {
                // Who is in the chat is here. Of who is not it is not known whether it ever was: it stays.
                self.take_in(&hub.everybody()).await?;
            }
            self.take_in(&taken.signs).await?;
        }
        loop {
            let due = self.presence.here.lock().due(self.clock.steady(), AT_ONCE);
            if due.is_empty() {
                return Ok(());
            }
            for who in due {
                self.take_out(who).await?;
            }
        }
    }

    /// Where no other node is.
    async fn take_in(&self, seen: &[Seen]) -> Result<(), Error> {
        for seen in seen {
            let follows = self.presence.here.lock().take(seen, self.clock.steady());
            match follows {
                Follows::Nothing => {}
                Follows::Back(out) => self.put_back(&seen.room, &seen.user, &out).await?,
                Follows::Leaves => {
                    if self.store.delete_viewer(&seen.room, &seen.user).await? {
                        self.audience_changed(&seen.room);
                    }
                }
            }
        }
        Ok(())
    }

    async fn take_out(&self, who: Who) -> Result<(), Error> {
        let mut made = None;
        self.store.see(&who.0, &mut |room, _| made = Some(room.created)).await?;
        let Some(of) = made else { return Ok(()) };
        let listed = self.store.viewers(&who.0).await?.listed;
        let info = listed.into_iter().find(|viewer| viewer.user == who.1).map(|viewer| viewer.info);
        if self.store.delete_viewer(&who.0, &who.1).await? {
            self.audience_changed(&who.0);
            self.presence.here.lock().put_out(who, Out { of, info });
        }
        Ok(())
    }

    async fn put_back(&self, room: &RoomId, user: &UserId, out: &Out) -> Result<(), Error> {
        let mut same = false;
        self.store.see(room, &mut |room, _| same = room.created == out.of).await?;
        if same {
            match self.store.add_viewer(room, user, out.info.as_deref()).await {
                Ok(false) => {}
                // Counted, if it is not listed.
                Ok(true) | Err(Error::Refused(_)) => self.audience_changed(room),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes in what was seen at this node, where several share a store.
    async fn say_who_is_here(&self, presences: &dyn Presences, hub: Option<&Hub>) -> Result<(), Error> {
        let Some(hub) = hub else { return Ok(()) };
        let taken = hub.take_signs();
        let said = if taken.forgot {
            self.begin(presences, hub).await
        } else {
            let changed = presences.seen(hub.node(), &taken.signs, self.clock.steady()).await;
            changed.map(|changed| changed.iter().for_each(|room| self.audience_changed(room)))
        };
        if said.is_err() {
            hub.put_signs_back(taken);
        }
        said
    }

    /// Takes out who is away for too long now at all nodes, and finds those whom nodes had that are gone.
    async fn look_around(&self, presences: &dyn Presences, hub: Option<&Hub>, begun: &mut bool) -> Result<(), Error> {
        if *begun {
            self.say_who_is_here(presences, hub).await?;
        }
        let looked = presences.look(hub.and_then(Hub::node), BACK_WITHIN).await?;
        looked.changed.iter().for_each(|room| self.audience_changed(room));
        if let (true, Some(hub)) = (looked.begins, hub) {
            self.begin(presences, hub).await?;
            *begun = true;
        }
        Ok(())
    }

    /// Says anew whom this node has.
    async fn begin(&self, presences: &dyn Presences, hub: &Hub) -> Result<(), Error> {
        let Some(node) = hub.node() else { return Ok(()) };
        let changed = presences.begin(node, &hub.everybody(), BACK_WITHIN, self.clock.steady()).await?;
        changed.iter().for_each(|room| self.audience_changed(room));
        Ok(())
    }
}
