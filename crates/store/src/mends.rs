//! Faults that were mended, each of which can be brought back on a thread: the simulator shows by that that it would find
//! them. Without the feature `simulation` all mends stand.

/// What was mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mend {
    /// Damage in the middle of a journal costs what stands in it, and not everything behind it.
    DamageIsSkipped,
    /// A change that is queued when the disk fails is answered as "unknown", not as "not done".
    UnknownIsSaid,
    /// Heartbeats and other silence are measured by a clock that does not step.
    ClockIsSteady,
    /// Groups and their newest messages outlive the process.
    ChatIsKept,
    /// A group that a user made before its room begins anew with the room.
    GroupBeginsWithRoom,
    /// What a webhook was told is noted before its whole batch is.
    ToldIsNoted,
    /// What a webhook was told is not forgotten when it cannot be noted.
    ToldIsKnown,
    /// What a journal is begun with survives a loss of power, whoever wrote it and did not live to see it durable.
    ReadIsDurable,
    /// A file of the journal in which nothing is does not hide those that were begun later with a lower number.
    EmptyFilesGo,
    /// What chat said while the disk was away is written when it is back.
    MissedIsWritten,
    /// Bans are over by the wall's time, not by that of another ban.
    BansEndByTheWall,
    /// In a planned failover nothing is written to the old master.
    FailoverIsWaitedFor,
    /// Where Redis comes back empty, bans and logouts are written again.
    LostIsWrittenAgain,
    /// Where Redis comes back empty, the ends of its rooms are published.
    LostRoomsEnd,
    /// What a node missed of a group it takes from Redis as a whole, and not the messages alone.
    MissedIsLoadedWhole,
    /// What a node missed of a group comes before what it hears next, which would else take its place.
    MissedComesFirst,
    /// Where Redis comes back without the place of a webhook, and the node that knew it has ended, all that is in Redis is told.
    PlaceIsKnown,
    /// Signs of life are kept and judged by one time for all nodes, whichever of them stood still.
    TimeIsShared,
    /// What is heard late of an earlier life of a group, its end above all, does nothing to the present one.
    LivesAreTold,
    /// A mute or ban that a node said counts at that node, too, in the order in which all hear it.
    OwnWordIsTaken,
    /// A group that began with its room has no sanctions of before it, also where a node loaded it before it heard of them.
    LateSanctionsAreLifted,
    /// A group that ended and began again while a node missed it begins again at that node, too.
    MissedLifeIsTaken,
}

#[cfg(feature = "simulation")]
mod out {
    use std::cell::Cell;

    thread_local! {
        pub static OUT: Cell<Option<super::Mend>> = const { Cell::new(None) };
    }
}

/// Takes a mend out on this thread, or puts all of them back.
#[cfg(feature = "simulation")]
pub fn take_out(mend: Option<Mend>) {
    out::OUT.set(mend);
}

/// Whether a mend is out.
#[cfg(feature = "simulation")]
#[must_use]
pub fn is_out(mend: Mend) -> bool {
    out::OUT.get() == Some(mend)
}

/// Whether a mend is out.
#[cfg(not(feature = "simulation"))]
#[must_use]
pub const fn is_out(_: Mend) -> bool {
    false
}
