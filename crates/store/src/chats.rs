//! What a hub of one node says, kept over a restart: each group with its newest messages, and what waits for a user. Bounds
//! are those of the hub: a kept group is a [`Group`] without members, and shares its messages with the hub's.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;
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
    /// In the order in which they came.
    mail: VecDeque<Mail>,
    mail_bytes: usize,
    /// Some of it may be in no file. Where none is, nobody looks through it.
    mail_missed: bool,
    /// Of what was said while the disk was away, the first that is in no file; and what of that stands in the snapshot that is
    /// being written.
    missed: HashMap<RoomId, Gap>,
    saving: HashMap<RoomId, Gap>,
}

/// A point-to-point message that is kept.
struct Mail {
    message: Arc<Direct>,
    handed: bool,
    missed: Missed,
}

/// Whether what is known of a message is in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missed {
    No,
    Yes,
    /// It will be if the snapshot is written.
    Saving,
}

/// From where on a group is in no file. Less is more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    /// From its beginning, or that of its room.
    Beginning,
    /// From this message on.
    Message(u64),
}

impl Gap {
    fn of(entry: &ChatEntry) -> Self {
        match entry {
            ChatEntry::Message(message) => Self::Message(message.seq),
            _ => Self::Beginning,
        }
    }
}

impl Chats {
    /// An entry, which was taken in just now, could not be written. Says whether it has to be [brought](Self::owed).
    pub fn miss(&mut self, entry: &ChatEntry) -> bool {
        if is_out(Mend::MissedIsWritten) {
            return false;
        }
        match (entry, entry.group()) {
            (_, Some(group)) => lower(&mut self.missed, group, Gap::of(entry)),
            (ChatEntry::Handed { user, seq }, _) => {
                self.mail_missed = true;
                self.of_user(user, *seq).for_each(|mail| mail.missed = Missed::Yes);
            }
            // One that is too large to be kept at all is not there.
            (ChatEntry::Direct { message, .. }, _) => {
                self.mail_missed = true;
                let new = self.mail.back_mut().filter(|mail| Arc::ptr_eq(&mail.message, message));
                new.into_iter().for_each(|mail| mail.missed = Missed::Yes);
            }
            _ => {}
        }
        true
    }

    /// What has to be written in the place of this entry, which was taken in just now, because something before it is missing.
    pub fn missing(&mut self, entry: &ChatEntry) -> Option<Vec<ChatEntry>> {
        let Some(group) = entry.group() else {
            let mut missing = self.missing_mail();
            return (!missing.is_empty()).then(|| {
                missing.push(entry.clone());
                missing
            });
        };
        let from = self.take_gap(group)?;
        Some(self.since(group, from.min(Gap::of(entry))))
    }

    /// What has to be written so that a group, or else the mail, misses nothing; none when nothing does.
    pub fn owed(&mut self) -> Option<Vec<ChatEntry>> {
        if let Some(group) = self.missed.keys().chain(self.saving.keys()).next().cloned() {
            let from = self.take_gap(&group)?;
            return Some(self.since(&group, from));
        }
        let mail = self.missing_mail();
        (!mail.is_empty()).then_some(mail)
    }

    fn take_gap(&mut self, group: &RoomId) -> Option<Gap> {
        self.missed.remove(group).into_iter().chain(self.saving.remove(group)).min()
    }

    /// What a group is from there on: at its end, that.
    fn since(&self, group: &RoomId, from: Gap) -> Vec<ChatEntry> {
        let Some(kept) = self.groups.get(group) else { return vec![ChatEntry::Ended { group: group.clone() }] };
        match from {
            Gap::Beginning => of_a_group(kept).collect(),
            Gap::Message(first) => {
                let all = kept.group.history(u64::MAX, usize::MAX).into_iter();
                all.filter(|message| message.seq >= first).map(ChatEntry::Message).collect()
            }
        }
    }

    fn missing_mail(&mut self) -> Vec<ChatEntry> {
        if !std::mem::take(&mut self.mail_missed) {
            return Vec::new();
        }
        let missed = self.mail.iter_mut().filter(|mail| mail.missed != Missed::No);
        missed
            .map(|mail| {
                mail.missed = Missed::No;
                mail.entry()
            })
            .collect()
    }

    /// What makes this state anew, for a snapshot. What is missing need not be written if that is [saved](Self::saved).
    pub fn save(&mut self) -> Vec<ChatEntry> {
        for (group, from) in self.missed.drain() {
            lower(&mut self.saving, &group, from);
        }
        self.mark(Missed::Yes, Missed::Saving);
        self.entries()
    }

    /// Whether the snapshot was written.
    pub fn saved(&mut self, written: bool) {
        for (group, from) in self.saving.drain().filter(|_| !written) {
            lower(&mut self.missed, &group, from);
        }
        self.mark(Missed::Saving, if written { Missed::No } else { Missed::Yes });
    }

    fn mark(&mut self, from: Missed, to: Missed) {
        self.mail.iter_mut().filter(|mail| mail.missed == from).for_each(|mail| mail.missed = to);
    }

    fn of_user<'a>(&'a mut self, user: &'a UserId, upto: u64) -> impl Iterator<Item = &'a mut Mail> {
        self.mail.iter_mut().filter(move |mail| mail.message.to == *user && mail.message.seq <= upto)
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
                self.mail.push_back(Mail { message, handed, missed: Missed::No });
                self.forget(now);
            }
            ChatEntry::Handed { user, seq } => self.of_user(&user, seq).for_each(|mail| mail.handed = true),
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
        let is_over = |mail: &mut Mail, bytes| mail.message.at.plus(AWAY) <= now || bytes > MAX_MAIL_BYTES;
        while let Some(mail) = self.mail.pop_front_if(|mail| is_over(mail, self.mail_bytes)) {
            self.mail_bytes -= mail.message.cost();
        }
    }

    /// Lets go of what stood in the snapshot and in the changes after it, too. For when all is read.
    pub fn read(mut self) -> Self {
        let mut of_users: HashMap<UserId, BTreeMap<u64, Mail>> = HashMap::new();
        let mut order = Vec::new();
        for mail in std::mem::take(&mut self.mail) {
            let to = mail.message.to.clone();
            let known = of_users.entry(to.clone()).or_default();
            match known.get_mut(&mail.message.seq) {
                Some(before) => before.handed |= mail.handed,
                None => {
                    known.insert(mail.message.seq, mail);
                    order.push(to);
                }
            }
        }
        // Those of a user in their order, though the changes say some again that the snapshot had let go of.
        self.mail.extend(order.iter().filter_map(|to| Some(of_users.get_mut(to)?.pop_first()?.1)));
        self.mail_bytes = self.mail.iter().map(|mail| mail.message.cost()).sum();
        self
    }

    /// The groups.
    pub fn groups(&self) -> Vec<KeptGroup> {
        self.groups.values().cloned().collect()
    }

    /// The point-to-point messages.
    pub fn mail(&self) -> Vec<(Arc<Direct>, bool)> {
        self.mail.iter().map(|mail| (mail.message.clone(), mail.handed)).collect()
    }

    /// What makes this state anew.
    fn entries(&self) -> Vec<ChatEntry> {
        self.groups.values().flat_map(of_a_group).chain(self.mail.iter().map(Mail::entry)).collect()
    }
}

impl Mail {
    fn entry(&self) -> ChatEntry {
        ChatEntry::Direct { message: self.message.clone(), handed: self.handed }
    }
}

fn lower(missed: &mut HashMap<RoomId, Gap>, group: &RoomId, from: Gap) {
    let known = missed.entry(group.clone()).or_insert(from);
    *known = from.min(*known);
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

    fn numbers(entries: &[ChatEntry]) -> Vec<u64> {
        let number = |entry: &ChatEntry| match entry {
            ChatEntry::Message(message) => message.seq,
            ChatEntry::Direct { message, .. } => 100 + message.seq,
            ChatEntry::Handed { seq, .. } => 200 + seq,
            _ => 0,
        };
        entries.iter().map(number).collect()
    }

    /// The disk does not take this one.
    fn miss(chats: &mut Chats, entry: ChatEntry) {
        chats.apply(entry.clone(), Millis(5));
        assert!(chats.miss(&entry));
    }

    /// It takes this one, with what is missing.
    fn write(chats: &mut Chats, entry: ChatEntry) -> Vec<u64> {
        chats.apply(entry.clone(), Millis(5));
        numbers(&chats.missing(&entry).unwrap_or_else(|| vec![entry]))
    }

    #[test]
    fn what_was_missed_is_written_from_there_on_and_once() {
        let mut chats = all([group(1, 0), message(1), message(2)], 5);
        miss(&mut chats, message(3));
        miss(&mut chats, message(4));
        assert_eq!(write(&mut chats, message(5)), [3, 4, 5]);
        assert_eq!(write(&mut chats, message(6)), [6]);
        // A room that came meanwhile is said with all that the group has.
        miss(&mut chats, ChatEntry::Adopted { group: RoomId::parse("r").unwrap() });
        assert_eq!(write(&mut chats, message(7)), [0, 0, 1, 2, 3, 4, 5, 6, 7]);
        miss(&mut chats, direct(1, 5, false));
        assert_eq!(write(&mut chats, direct(2, 5, false)), [101, 102]);
        let handed = |seq| ChatEntry::Handed { user: UserId::parse("bob").unwrap(), seq };
        miss(&mut chats, handed(1));
        assert_eq!(write(&mut chats, handed(2)), [101, 202]);
        // Of mail that is gone nothing is missing.
        let mut chats = Chats::default();
        miss(&mut chats, handed(1));
        assert_eq!(write(&mut chats, handed(2)), [202]);
    }

    #[test]
    fn what_a_snapshot_has_is_missing_no_more_once_it_is_written() {
        for written in [true, false] {
            let mut chats = all([group(1, 0), message(1)], 5);
            miss(&mut chats, message(2));
            miss(&mut chats, direct(1, 5, false));
            assert_eq!(numbers(&chats.save()), [0, 1, 2, 101]);
            miss(&mut chats, message(3));
            miss(&mut chats, direct(2, 5, false));
            chats.saved(written);
            let group = write(&mut chats, message(4));
            let mail = write(&mut chats, direct(3, 5, false));
            assert_eq!(group, if written { vec![3, 4] } else { vec![2, 3, 4] });
            assert_eq!(mail, if written { vec![102, 103] } else { vec![101, 102, 103] });
        }
        // Nobody waits for a snapshot.
        let mut chats = all([group(1, 0), message(1)], 5);
        miss(&mut chats, message(2));
        chats.save();
        assert_eq!(write(&mut chats, message(3)), [2, 3]);
        // A group that ended meanwhile is not remembered for ever.
        miss(&mut chats, ChatEntry::Ended { group: RoomId::parse("r").unwrap() });
        chats.save();
        chats.saved(true);
        assert!(chats.missed.is_empty() && chats.saving.is_empty());
    }

    #[test]
    fn mail_is_in_its_order_whatever_is_said_again() {
        let read = all([direct(2, 2, true), direct(3, 3, false), direct(1, 1, false), direct(2, 2, false)], 4);
        let mail: Vec<_> = read.mail().iter().map(|(m, handed)| (m.seq, *handed)).collect();
        assert_eq!(mail, [(1, false), (2, true), (3, false)]);
    }

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
