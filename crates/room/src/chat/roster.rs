//! Who is in a group, and through which connections. Entering and leaving cost the same in a group of any size,
//! and all connections stand in one slice for the fan-out.

use std::collections::HashMap;

use super::ConnectionId;
use crate::id::UserId;

/// A user's connections in one group; nearly always one.
#[derive(Clone, Debug)]
enum Ids {
    One(ConnectionId),
    /// Never empty. Boxed so that the common case stays small.
    #[allow(clippy::box_collection)]
    Many(Box<Vec<ConnectionId>>),
}

impl Ids {
    fn as_slice(&self) -> &[ConnectionId] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }
}

/// Users, their connections, and all connections in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    members: HashMap<UserId, Ids>,
    connections: Vec<ConnectionId>,
    /// Where each connection stands in `connections`.
    places: HashMap<ConnectionId, usize>,
}

impl Roster {
    /// All connections, in no order.
    pub(super) fn connections(&self) -> &[ConnectionId] {
        &self.connections
    }

    /// How many users are in.
    pub(super) fn users(&self) -> usize {
        self.members.len()
    }

    /// Who is in, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &UserId> {
        self.members.keys()
    }

    pub(super) fn has_user(&self, user: &UserId) -> bool {
        self.members.contains_key(user)
    }

    /// Whether this connection of this user is in.
    pub(super) fn has(&self, user: &UserId, id: ConnectionId) -> bool {
        self.connections_of(user).contains(&id)
    }

    pub(super) fn connections_of(&self, user: &UserId) -> &[ConnectionId] {
        self.members.get(user).map_or(&[], Ids::as_slice)
    }

    /// Puts a connection in. One that is in already, for whichever user, changes nothing.
    pub(super) fn add(&mut self, user: &UserId, id: ConnectionId) -> bool {
        if self.places.contains_key(&id) {
            return false;
        }
        self.places.insert(id, self.connections.len());
        self.connections.push(id);
        match self.members.get_mut(user) {
            None => drop(self.members.insert(user.clone(), Ids::One(id))),
            Some(Ids::Many(ids)) => ids.push(id),
            Some(ids @ Ids::One(_)) => {
                let mut both = ids.as_slice().to_vec();
                both.push(id);
                *ids = Ids::Many(Box::new(both));
            }
        }
        true
    }

    /// Takes a connection out; false if it was not in for this user.
    pub(super) fn remove(&mut self, user: &UserId, id: ConnectionId) -> bool {
        let Some(ids) = self.members.get_mut(user) else { return false };
        if !ids.as_slice().contains(&id) {
            return false;
        }
        match ids {
            Ids::One(_) => drop(self.members.remove(user)),
            Ids::Many(many) => {
                many.retain(|i| *i != id);
                if let [last] = many[..] {
                    *ids = Ids::One(last);
                }
            }
        }
        self.forget(id);
        true
    }

    /// Takes a user out with all its connections, which are returned.
    pub(super) fn remove_user(&mut self, user: &UserId) -> Vec<ConnectionId> {
        let gone = self.members.remove(user).map_or_else(Vec::new, |ids| ids.as_slice().to_vec());
        for id in &gone {
            self.forget(*id);
        }
        gone
    }

    /// All members, with their connections.
    pub(super) fn into_members(self) -> impl Iterator<Item = (UserId, Vec<ConnectionId>)> {
        self.members.into_iter().map(|(user, ids)| (user, ids.as_slice().to_vec()))
    }

    fn forget(&mut self, id: ConnectionId) {
        let Some(place) = self.places.remove(&id) else { return };
        self.connections.swap_remove(place);
        if let Some(moved) = self.connections.get(place) {
            self.places.insert(*moved, place);
        }
        // A room that was full once does not hold on to it; the factor keeps this off the common path.
        if self.connections.capacity() > 64 && self.connections.len() < self.connections.capacity() / 8 {
            let room = self.connections.len() * 2;
            self.connections.shrink_to(room);
            self.places.shrink_to(room);
            self.members.shrink_to(room);
        }
    }
}
