//! What a hub of one node says, kept over a restart: each group with its newest messages, and what waits for a user. Bounds
//! are those of the hub: a kept group is a [`Group`] without members, and shares its messages with the hub's.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use room::chat::{AWAY, Direct, Epoch, Group, Message, NewGroup};
use room::{Millis, RoomId, UserId};
use serde::{Deserialize, Serialize};

use crate::Answer;
use crate::mends::{Mend, is_out};

/// One thing that a hub said or did.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatEntry {
    /// A group began, or goes on after this number.
    Group {
        /// The group.
        id: RoomId,
        /// Its life.
        epoch: Epoch,
        /// Who made it, if a user did.
        owner: Option<UserId>,
        /// Its name.
        name: String,
        /// Number of the newest message before those that follow here.
        last: u64,
    },
    /// A room stands behind a group: it ends with the room.
    Adopted {
        /// The group.
        group: RoomId,
    },
    /// A message got its number.
    Message(Arc<Message>),
    /// A group ended.
    Ended {
        /// The group.
        group: RoomId,
    },
    /// A point-to-point message got its number.
    Direct {
        /// It.
        message: Arc<Direct>,
        /// A connection of its receiver took it.
        handed: bool,
    },
    /// A user took all of its point-to-point messages up to this one.
    Handed {
        /// The receiver.
        user: UserId,
        /// The message's number.
        seq: u64,
    },
}

impl ChatEntry {
    /// The group that it is about, if it is about one.
    fn group(&self) -> Option<&RoomId> {
        match self {
            Self::Group { id: group, .. } | Self::Adopted { group } | Self::Ended { group } => Some(group),
            Self::Message(message) => Some(&message.group),
            Self::Direct { .. } | Self::Handed { .. } => None,
        }
    }
}

/// A group as it was kept.
#[derive(Clone, Debug)]
pub struct KeptGroup {
    /// It, without members.
    pub group: Group,
    /// A room stood behind it.
    pub room: bool,
}

/// Where the hub of a single node keeps what it says.
pub trait ChatRecord: Send + Sync + 'static {
    /// Takes an entry in. What comes of it is for who wants to be sure that it is kept.
    fn note(&self, entry: ChatEntry, now: Millis) -> Answer<'static, ()>;

    /// The groups that were kept when the store was opened, each once.
    fn groups(&self) -> Vec<KeptGroup>;

    /// The point-to-point messages that are kept, oldest first for each receiver, and whether they were handed over.
    fn mail(&self) -> Vec<(Arc<Direct>, bool)>;
}

/// Most bytes of point-to-point messages that are kept; the oldest go first.
const MAX_MAIL_BYTES: usize = 16 << 20;

/// The state that entries make.
#[derive(Default)]
pub(crate) struct Chats {
    groups: HashMap<RoomId, KeptGroup>,
    /// In the order in which they came, with whether they were handed over.
    mail: VecDeque<(Arc<Direct>, bool)>,
    mail_bytes: usize,
    /// What was said while the disk was away is not on it: groups, and point-to-point messages.
    missed: HashSet<RoomId>,
    missed_mail: bool,
}

impl Chats {
    /// An entry could not be written.
    pub fn miss(&mut self, entry: &ChatEntry) {
        if is_out(Mend::MissedIsWritten) {
            return;
        }
        match entry.group() {
            Some(group) => _ = self.missed.insert(group.clone()),
            None => self.missed_mail = true,
        }
    }

    /// What has to be written in the place of this entry, which was taken in just now, because something before it is missing.
    pub fn missing(&mut self, entry: &ChatEntry) -> Option<Vec<ChatEntry>> {
        match entry.group() {
            Some(group) => self.missed.remove(group).then(|| match self.groups.get(group) {
                Some(kept) => of_a_group(kept).collect(),
                None => vec![entry.clone()],
            }),
            None => std::mem::take(&mut self.missed_mail).then(|| self.of_mail().collect()),
        }
    }

    /// Takes an entry in.
    pub fn apply(&mut self, entry: ChatEntry, now: Millis) {
        match entry {
            ChatEntry::Group { id, epoch, owner, name, last } => self.begin(&id, epoch, owner.as_ref(), &name, last),
            ChatEntry::Adopted { group } => {
                if let Some(kept) = self.groups.get_mut(&group) {
                    kept.room = true;
                    kept.group.begin_with_room();
                }
            }
            ChatEntry::Message(message) => {
                if let Some(kept) = self.groups.get_mut(&message.group) {
                    kept.group.accept(message);
                }
            }
            ChatEntry::Ended { group } => drop(self.groups.remove(&group)),
            ChatEntry::Direct { message, handed } => {
                self.mail_bytes += message.cost();
                self.mail.push_back((message, handed));
                self.forget(now);
            }
            ChatEntry::Handed { user, seq } => {
                let of_it = |message: &Direct| message.to == user && message.seq <= seq;
                self.mail.iter_mut().filter(|(message, _)| of_it(message)).for_each(|(_, handed)| *handed = true);
            }
        }
    }

    /// A group that is there in this life already stays as it is: a snapshot may be younger than what is read after it.
    fn begin(&mut self, id: &RoomId, epoch: Epoch, owner: Option<&UserId>, name: &str, last: u64) {
        if self.groups.get(id).is_some_and(|kept| kept.group.epoch() == epoch) {
            return;
        }
        if let Ok(mut group) = Group::new(&NewGroup { id, epoch, owner, name }) {
            group.resume(last);
            self.groups.insert(id.clone(), KeptGroup { group, room: false });
        }
    }

    /// Lets go of point-to-point messages that are too old or too many.
    fn forget(&mut self, now: Millis) {
        while let Some((message, _)) =
            self.mail.pop_front_if(|(message, _)| message.at.plus(AWAY) <= now || self.mail_bytes > MAX_MAIL_BYTES)
        {
            self.mail_bytes -= message.cost();
        }
    }

    /// Lets go of what stood in the snapshot and in the changes after it, too. For when all is read.
    pub fn read(mut self) -> Self {
        let mut places = HashMap::new();
        for (message, handed) in std::mem::take(&mut self.mail) {
            let next = self.mail.len();
            let place = *places.entry((message.to.clone(), message.seq)).or_insert(next);
            match self.mail.get_mut(place) {
                Some((_, before)) => *before |= handed,
                None => self.mail.push_back((message, handed)),
            }
        }
        self.mail_bytes = self.mail.iter().map(|(message, _)| message.cost()).sum();
        self
    }

    /// The groups.
    pub fn groups(&self) -> Vec<KeptGroup> {
        self.groups.values().cloned().collect()
    }

    /// The point-to-point messages.
    pub fn mail(&self) -> Vec<(Arc<Direct>, bool)> {
        self.mail.iter().cloned().collect()
    }

    /// What makes this state anew.
    pub fn entries(&self) -> Vec<ChatEntry> {
        self.groups.values().flat_map(of_a_group).chain(self.of_mail()).collect()
    }

    fn of_mail(&self) -> impl Iterator<Item = ChatEntry> + '_ {
        self.mail.iter().map(|(message, handed)| ChatEntry::Direct { message: message.clone(), handed: *handed })
    }
}

/// What makes a group anew.
fn of_a_group(kept: &KeptGroup) -> impl Iterator<Item = ChatEntry> + use<> {
    let group = &kept.group;
    let adopted = kept.room.then(|| ChatEntry::Adopted { group: group.id().clone() });
    let messages = group.history(u64::MAX, usize::MAX);
    let begins = ChatEntry::Group {
        id: group.id().clone(),
        epoch: group.epoch(),
        owner: group.owner().cloned(),
        name: group.name().to_owned(),
        last: messages.first().map_or(group.last(), |first| first.seq - 1),
    };
    std::iter::once(begins).chain(adopted).chain(messages.into_iter().map(ChatEntry::Message))
}

#[cfg(test)]
mod tests {
    use room::chat::{Body, Content, Said, Since};

    use super::*;

    fn said(from: &str) -> Said {
        Said { from: UserId::parse(from).unwrap(), nick: None, random: Some(1), body: Body::new("[]").unwrap() }
    }

    fn message(seq: u64) -> ChatEntry {
        let group = RoomId::parse("r").unwrap();
        let content = Content::Said(said("ann"));
        ChatEntry::Message(Arc::new(Message::new(group, seq, Millis(seq), content)))
    }

    fn group(epoch: u64, last: u64) -> ChatEntry {
        ChatEntry::Group { id: RoomId::parse("r").unwrap(), epoch: Epoch(epoch), owner: None, name: "".into(), last }
    }

    fn direct(seq: u64, at: u64, handed: bool) -> ChatEntry {
        let to = UserId::parse("bob").unwrap();
        let said = said("ann");
        ChatEntry::Direct { message: Arc::new(Direct { to, seq, at: Millis(at), client_seq: None, said }), handed }
    }

    fn all(entries: impl IntoIterator<Item = ChatEntry>, now: u64) -> Chats {
        let mut chats = Chats::default();
        entries.into_iter().for_each(|entry| chats.apply(entry, Millis(now)));
        chats.read()
    }

    #[test]
    fn a_state_is_made_anew_by_its_entries_and_by_what_comes_after_twice() {
        let before = all([group(7, 0), message(1), message(2), message(3), direct(1, 1, false), direct(2, 2, true)], 3);
        let later = [message(2), message(3), message(4), direct(2, 2, false)];
        let after = all(before.entries().into_iter().chain(later), 4);
        let groups = after.groups();
        let missed = groups[0].group.catch_up(Some(Since { epoch: Epoch(7), seq: 1 }));
        assert_eq!(missed.messages.iter().map(|m| m.seq).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!((missed.gap, missed.anew), (false, false));
        let mail: Vec<_> = after.mail().iter().map(|(m, handed)| (m.seq, *handed)).collect();
        assert_eq!(mail, [(1, false), (2, true)]);
    }

    #[test]
    fn a_group_that_is_made_again_has_nothing_of_before() {
        let ended = ChatEntry::Ended { group: RoomId::parse("r").unwrap() };
        let chats = all([group(1, 0), message(1), ended.clone(), group(2, 0)], 1);
        let of = |chats: &Chats| {
            chats
                .groups()
                .into_iter()
                .map(|kept| (kept.group.epoch(), kept.group.last(), kept.room))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&chats), [(Epoch(2), 0, false)]);
        // The snapshot knew the later life already; the changes are said again from the first one on.
        let again =
            all(chats.entries().into_iter().chain([group(1, 0), message(1), ended, group(2, 0), message(1)]), 1);
        assert_eq!(of(&again), [(Epoch(2), 1, false)]);
        let adopted = ChatEntry::Adopted { group: RoomId::parse("r").unwrap() };
        assert_eq!(of(&all(all([group(3, 5), adopted], 1).entries(), 1)), [(Epoch(3), 5, true)]);
    }

    #[test]
    fn mail_is_kept_for_a_minute() {
        let mut chats = all([direct(1, 0, false), direct(2, 30_000, false)], 30_000);
        chats.apply(direct(3, 61_000, false), Millis(61_000));
        assert_eq!(chats.mail().iter().map(|(m, _)| m.seq).collect::<Vec<_>>(), [2, 3]);
        let user = UserId::parse("bob").unwrap();
        chats.apply(ChatEntry::Handed { user, seq: 2 }, Millis(61_000));
        assert_eq!(chats.mail().iter().map(|(_, handed)| *handed).collect::<Vec<_>>(), [true, false]);
    }
}
