//! Tips of who comes and goes, for long-polling clients: their pages make lines of them. They have no numbers, and are not kept.

use std::sync::Arc;

use room::chat::Group;
use room::{Millis, UserId};

use super::Hub;

/// Where more users listen nobody is told: each that comes would answer the polls of all the others.
const MOST_USERS: usize = 100;

/// A user came into a group, or went.
#[derive(Debug)]
pub struct Tip {
    /// Who.
    pub user: UserId,
    /// It came.
    pub came: bool,
    /// Users that listen now.
    pub users: usize,
    /// When.
    pub at: Millis,
}

impl Hub {
    /// Tells the others of a group at this node that a user came, or went, where so many were in `before`.
    pub(super) fn tip(&self, group: &Group, user: &UserId, before: usize) {
        let users = group.users();
        if users == before || users.max(before) > MOST_USERS {
            return;
        }
        let tip = Arc::new(Tip { user: user.clone(), came: users > before, users, at: self.now() });
        for connection in group.connections() {
            self.with_link(*connection, |link| {
                if link.user != *user {
                    link.tip(group.id(), &tip);
                }
            });
        }
    }
}
